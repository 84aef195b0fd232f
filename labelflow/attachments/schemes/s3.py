"""Attachments at s3://: answered by listings where that pays, and by their first bytes where those matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from mimetypes import MimeTypes
from posixpath import splitext

from labelflow.attachments.attachment import (
    MEASURE_BUDGET,
    MEASURED_TYPES,
    AttachmentRejected,
    CheckLevel,
    ProbeRequest,
    ProbeResult,
    StoreUnreachable,
)
from labelflow.attachments.media_probe import probe_media
from labelflow.attachments.s3_listing import ListingCache, ObjectStatus
from labelflow.storage import s3, s3_client, s3_errors

_TYPES = MimeTypes()  # Python's own table: the same on every machine


class S3Scheme:
    """Looks objects up with the credentials that will sign their URLs. boto3 has its own timeouts and retries."""

    names = ("s3",)

    def __init__(self, threads: Executor, connections: int, timeout: float) -> None:
        self._threads = threads
        self._listings = ListingCache()

    def close(self) -> None:
        """Nothing to do: the client is the process's."""

    def check_form(self, uri: str) -> None:
        try:
            _, key = s3_client.split_uri(uri)
        except ValueError as error:
            raise _rejection(error, uri) from None
        if not key:
            raise AttachmentRejected("names a bucket and no object", "write s3://bucket/key")

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        return level is CheckLevel.CONTENT or (level is CheckLevel.AUTO and attachment_type in MEASURED_TYPES)

    def probe(self, wanted: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        opened = [item for item in wanted if item.content]
        found = dict(zip(opened, self._threads.map(_open, opened), strict=True))
        listed = self._look_up(item.uri for item in wanted if not item.content)
        return [found[item] if item.content else listed[item.uri] for item in wanted]

    def _look_up(self, uris: Iterable[str]) -> dict[str, ProbeResult | AttachmentRejected]:
        buckets: dict[str, dict[str, str]] = {}
        for uri in uris:
            bucket, key = s3_client.split_uri(uri)
            buckets.setdefault(bucket, {})[key] = uri
        found: dict[str, ProbeResult | AttachmentRejected] = {}
        for bucket, by_key in buckets.items():
            found |= self._look_up_in(bucket, by_key)
        return found

    def _look_up_in(self, bucket: str, uris: dict[str, str]) -> dict[str, ProbeResult | AttachmentRejected]:
        """The objects of one bucket; URIs come by key."""
        keys = sorted(uris)
        try:
            answers = self._listings.look_up(bucket, keys)
        except s3_client.errors() as error:
            return {uri: _rejection(error, uri) for uri in uris.values()}
        single = [uris[key] for key in keys if key not in answers]
        found = {uris[key]: _verdict(stored, uris[key]) for key, stored in answers.items()}
        return found | dict(zip(single, self._threads.map(_head_object, single), strict=True))


def _open(wanted: ProbeRequest) -> ProbeResult | AttachmentRejected:
    """Read an object's head; one GET tells whether it is there, too."""
    try:
        file = s3.open_ranged(wanted.uri, wanted.head_bytes, MEASURE_BUDGET)
        return probe_media(file, _guess_content_type(wanted.uri), wanted.attachment_type)
    except s3_client.errors() as error:
        return _rejection(error, wanted.uri)
    except OSError as error:  # no such object, or it could not be read further; put into words already
        reason, _, fix = str(error).rpartition("; ")
        return AttachmentRejected(reason or fix, fix if reason else "run again later")


def _head_object(uri: str) -> ProbeResult | AttachmentRejected:
    """Ask for one object."""
    bucket, key = s3_client.split_uri(uri)
    try:
        answer = s3_client.client().head_object(Bucket=bucket, Key=key)
    except s3_client.errors() as error:
        return _rejection(error, uri)
    restored = 'ongoing-request="false"' in answer.get("Restore", "")
    return _verdict(ObjectStatus.of(answer["ContentLength"], answer.get("StorageClass"), restored), uri)


def _verdict(stored: ObjectStatus | None, uri: str) -> ProbeResult | AttachmentRejected:
    if stored is None:
        bucket, key = s3_client.split_uri(uri)
        return AttachmentRejected(f"there is no object {key!r} in the bucket {bucket!r}", "correct the URI")
    if stored.archived:
        return AttachmentRejected("is archived", "restore it to a class that can be read")
    return ProbeResult(stored.size, _guess_content_type(uri))


def _guess_content_type(uri: str) -> str | None:
    """The type that the key's suffix stands for: listings do not tell another."""
    return _type_of(splitext(uri)[1])


@lru_cache(maxsize=1000)
def _type_of(suffix: str) -> str | None:
    return _TYPES.guess_type("x" + suffix, strict=False)[0]


def _rejection(error: Exception, uri: str) -> AttachmentRejected:
    """What an error means for one object. Raises StoreUnreachable where it would meet any other as well."""
    explained = s3_errors.explain(error, uri)
    if explained.is_systemic:
        raise StoreUnreachable(f"{explained.reason}; {explained.fix}")
    return AttachmentRejected(explained.reason, explained.fix)


SCHEME = S3Scheme
