"""Attachments at s3://: answered by listings where that pays, and by their first bytes where those matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from mimetypes import MimeTypes
from posixpath import splitext

from labelflow.attachments.attachment import (
    MEASURE_BUDGET,
    MEASURED,
    CheckLevel,
    Refused,
    Seen,
    StoreUnreachable,
    Wanted,
)
from labelflow.attachments.media_probe import seen_in
from labelflow.attachments.s3_listing import Listings, Stored
from labelflow.storage import s3

_TYPES = MimeTypes()  # Python's own table: the same on every machine


class S3Scheme:
    """Looks objects up with the credentials that will sign their URLs. boto3 has its own timeouts and retries."""

    names = ("s3",)

    def __init__(self, threads: Executor, connections: int, timeout: float) -> None:
        self._threads = threads
        self._listings = Listings()

    def close(self) -> None:
        """Nothing to do: the client is the process's."""

    def check_form(self, uri: str) -> None:
        try:
            _, key = s3.split_uri(uri)
        except ValueError as error:
            raise _refused(error, uri) from None
        if not key:
            raise Refused("names a bucket and no object", "write s3://bucket/key")

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        return level is CheckLevel.CONTENT or (level is CheckLevel.AUTO and attachment_type in MEASURED)

    def look(self, wanted: Sequence[Wanted]) -> list[Seen | Refused]:
        opened = [item for item in wanted if item.content]
        found = dict(zip(opened, self._threads.map(_open, opened), strict=True))
        listed = self._look_up(item.uri for item in wanted if not item.content)
        return [found[item] if item.content else listed[item.uri] for item in wanted]

    def _look_up(self, uris: Iterable[str]) -> dict[str, Seen | Refused]:
        buckets: dict[str, dict[str, str]] = {}
        for uri in uris:
            bucket, key = s3.split_uri(uri)
            buckets.setdefault(bucket, {})[key] = uri
        found: dict[str, Seen | Refused] = {}
        for bucket, by_key in buckets.items():
            found |= self._look_up_in(bucket, by_key)
        return found

    def _look_up_in(self, bucket: str, uris: dict[str, str]) -> dict[str, Seen | Refused]:
        """The objects of one bucket; URIs come by key."""
        keys = sorted(uris)
        try:
            answers = self._listings.look_up(bucket, keys)
        except s3.errors() as error:
            return {uri: _refused(error, uri) for uri in uris.values()}
        single = [uris[key] for key in keys if key not in answers]
        found = {uris[key]: _verdict(stored, uris[key]) for key, stored in answers.items()}
        return found | dict(zip(single, self._threads.map(_ask, single), strict=True))


def _open(wanted: Wanted) -> Seen | Refused:
    """Read an object's head; one GET tells whether it is there, too."""
    try:
        file = s3.open_ranged(wanted.uri, wanted.head_bytes, MEASURE_BUDGET)
        return seen_in(file, _declared(wanted.uri), wanted.attachment_type)
    except s3.errors() as error:
        return _refused(error, wanted.uri)
    except OSError as error:  # no such object, or it could not be read further; put into words already
        reason, _, fix = str(error).rpartition("; ")
        return Refused(reason or fix, fix if reason else "run again later")


def _ask(uri: str) -> Seen | Refused:
    """Ask for one object."""
    bucket, key = s3.split_uri(uri)
    try:
        answer = s3.client().head_object(Bucket=bucket, Key=key)
    except s3.errors() as error:
        return _refused(error, uri)
    restored = 'ongoing-request="false"' in answer.get("Restore", "")
    return _verdict(Stored.of(answer["ContentLength"], answer.get("StorageClass"), restored), uri)


def _verdict(stored: Stored | None, uri: str) -> Seen | Refused:
    if stored is None:
        bucket, key = s3.split_uri(uri)
        return Refused(f"there is no object {key!r} in the bucket {bucket!r}", "correct the URI")
    if stored.archived:
        return Refused("is archived", "restore it to a class that can be read")
    return Seen(stored.size, _declared(uri))


def _declared(uri: str) -> str | None:
    """The type that the key's suffix stands for: listings do not tell another."""
    return _type_of(splitext(uri)[1])


@lru_cache(maxsize=1000)
def _type_of(suffix: str) -> str | None:
    return _TYPES.guess_type("x" + suffix, strict=False)[0]


def _refused(error: Exception, uri: str) -> Refused:
    """What an error means for one object. Raises StoreUnreachable where it would meet any other as well."""
    explained = s3.explain(error, uri)
    if explained.everywhere:
        raise StoreUnreachable(f"{explained.reason}; {explained.fix}")
    return Refused(explained.reason, explained.fix)


SCHEME = S3Scheme
