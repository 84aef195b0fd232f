"""When signed URLs stop working: those of the manifest, and those that labelflow signs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_SIGNED_SINCE = (
    ("x-amz-signature", "x-amz-date", "x-amz-expires"),
    ("x-goog-signature", "x-goog-date", "x-goog-expires"),
)
_COMPACT_TIME = "%Y%m%dT%H%M%S%z"


def signed_until(url: str) -> datetime | None:
    """Return when the signature of a URL expires (UTC); None for a URL without a signature, or without an end.

    Knows AWS and Google Cloud Storage (both versions), CloudFront, Alibaba Cloud OSS and Azure.

    >>> signed_until("https://b/a.jpg?X-Amz-Date=20261123T120000Z&X-Amz-Expires=60&X-Amz-Signature=5ec2e7")
    datetime.datetime(2026, 11, 23, 12, 1, tzinfo=datetime.timezone.utc)
    """
    if "=" not in url or "://" not in url:
        return None
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    except ValueError:
        return None
    try:
        return _end(query)
    except (ValueError, OverflowError, OSError):
        return None


def _end(query: dict[str, str]) -> datetime | None:
    for signature, date, seconds in _SIGNED_SINCE:
        if signature in query and date in query and seconds in query:
            start = datetime.strptime(query[date].replace("Z", "+0000"), _COMPACT_TIME)
            return (start + timedelta(seconds=int(query[seconds]))).astimezone(UTC)
    if "signature" in query and "expires" in query:
        return datetime.fromtimestamp(int(query["expires"]), UTC)
    if "sig" in query and "se" in query:
        end = datetime.fromisoformat(query["se"])
        return end if end.tzinfo else end.replace(tzinfo=UTC)
    return None
