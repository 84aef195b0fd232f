"""When signed URLs end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.attachments.url_expiry import signed_until
from tests.support.attachments import find_problems

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=20261123T115900Z&X-Amz-Expires=60&X-Amz-Signature=5e",
        "X-Goog-Date=20261123T110000Z&X-Goog-Expires=3600&X-Goog-Signature=5e",
        f"AWSAccessKeyId=AKIA&Expires={SECONDS}&Signature=5e%3D",
        f"Expires={SECONDS}&Signature=5e&Key-Pair-Id=APKA",
        f"GoogleAccessId=a%40b&Expires={SECONDS}&Signature=5e",
        "sv=2026-01-01&se=2026-11-23T12%3A00%3A00Z&sig=5e",
        "sv=2026-01-01&se=2026-11-23T13%3A00%3A00%2B01%3A00&sig=5e",
    ],
)
def test_end_of_each_scheme(query: str) -> None:
    assert signed_until(f"https://b/a.jpg?{query}&v=2") == NOON


@pytest.mark.parametrize(
    "url",
    [
        "https://b/a.jpg",
        "https://b/a.jpg?Expires=9&v=2",
        "https://b/a.jpg?Expires=never&Signature=5e",
        "https://b/a.jpg?Expires=99999999999999999999&Signature=5e",
        "https://b/a.jpg?X-Amz-Date=today&X-Amz-Expires=60&X-Amz-Signature=5e",
        "https://b/a.jpg?X-Amz-Date=20261123T115900Z&X-Amz-Expires=9999999999999999&X-Amz-Signature=5e",
        "https://b/a.jpg?se=x&sig=5e",
        "https://[/a.jpg?se=x&sig=5e",
        "What is a=b?",
    ],
)
def test_url_without_a_known_end(url: str) -> None:
    assert signed_until(url) is None


@pytest.mark.parametrize(("hours", "is_rejected"), [(-1, True), (0, False), (1, False)])
def test_expired_url_rejects_its_row(hours: int, is_rejected: bool) -> None:
    end = datetime.now(UTC) + timedelta(hours=hours)
    url = f"https://b.example/a.jpg?Expires={end.timestamp():.0f}&Signature=5e2c&Key-Pair-Id=APKA"
    with AttachmentChecker(CheckLevel.OFF) as checker:
        [problem] = find_problems(checker, [Attachment("attachment", url, "image")])
    assert (problem is not None) is is_rejected
    assert problem is None or (problem.reason.startswith("is a signed URL that expired at 20"))
    assert problem is None or "5e2c" not in str(problem)
