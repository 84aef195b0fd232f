"""Attachments at s3://: checked by listings where that is efficient, and by their first bytes where required."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from mimetypes import MimeTypes
from posixpath import splitext

from labelflow.attachments.attachment import (
    MEASURE_BUDGET,
    READ_TYPES,
    AttachmentRejected,
    CheckLevel,
    ProbeRequest,
    ProbeResult,
    StoreUnavailable,
)
from labelflow.attachments.media_probe import probe_media
from labelflow.attachments.s3_listing import ListingCache, ObjectStatus
from labelflow.storage import s3, s3_client, s3_errors

_TYPES = MimeTypes()  # without the tables of the operating system: the same on every machine


class S3Scheme:
    """Probes objects with the credentials that will presign their URLs. boto3 has its own timeouts and retries.

    The endpoint comes from the environment, not from the manifest: it may be private.
    """

    names = ("s3",)

    def __init__(self, threads: Executor, connections: int, timeout: float, *, allow_private: bool) -> None:
        self._threads = threads
        self._listings = ListingCache()

    def close(self) -> None:
        """Do nothing: the client belongs to the process."""

    def check_form(self, uri: str) -> None:
        try:
            _, key = s3_client.split_uri(uri)
        except ValueError as error:
            raise _rejection(error, uri) from None
        if not key:
            raise AttachmentRejected("names a bucket but no object", "use s3://bucket/key")
        if {".", ".."} & set(key.split("/")):
            reason = "has a key with the path segment . or .., which browsers remove from its signed URL"
            raise AttachmentRejected(reason, "correct the URI, or rename the object")

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        return level is CheckLevel.CONTENT or (level is CheckLevel.AUTO and attachment_type in READ_TYPES)

    def probe(self, probe_requests: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        to_read = [request for request in probe_requests if request.content]
        read = dict(zip(to_read, self._threads.map(_probe_content, to_read), strict=True))
        looked_up = self._look_up(request.uri for request in probe_requests if not request.content)
        return [read[request] if request.content else looked_up[request.uri] for request in probe_requests]

    def _look_up(self, uris: Iterable[str]) -> dict[str, ProbeResult | AttachmentRejected]:
        buckets: dict[str, dict[str, str]] = {}
        for uri in uris:
            bucket, key = s3_client.split_uri(uri)
            buckets.setdefault(bucket, {})[key] = uri
        results: dict[str, ProbeResult | AttachmentRejected] = {}
        for bucket, uris_by_key in buckets.items():
            results |= self._look_up_in_bucket(bucket, uris_by_key)
        return results

    def _look_up_in_bucket(self, bucket: str, uris: dict[str, str]) -> dict[str, ProbeResult | AttachmentRejected]:
        """Look up objects of one bucket. uris: by key."""
        keys = sorted(uris)
        try:
            statuses = self._listings.look_up(bucket, keys)
        except s3_client.errors() as error:
            return {uri: _rejection(error, uri) for uri in uris.values()}
        results = {uris[key]: _to_result(status, uris[key]) for key, status in statuses.items()}
        unlisted = [uris[key] for key in keys if key not in statuses]
        return results | dict(zip(unlisted, self._threads.map(_head_object, unlisted), strict=True))


def _probe_content(request: ProbeRequest) -> ProbeResult | AttachmentRejected:
    """Read the first bytes of an object; the same GET shows whether it exists."""
    try:
        file = s3.open_ranged(request.uri, request.head_bytes, MEASURE_BUDGET)
        return probe_media(file, _guess_content_type(request.uri), request.attachment_type)
    except s3_client.errors() as error:
        return _rejection(error, request.uri)
    except OSError as error:  # it does not exist, or a later read failed; the message is complete
        reason, _, fix = str(error).rpartition("; ")
        return AttachmentRejected(reason or fix, fix if reason else "run again later")


def _head_object(uri: str) -> ProbeResult | AttachmentRejected:
    """Probe one object with a HEAD request."""
    bucket, key = s3_client.split_uri(uri)
    try:
        response = s3_client.client().head_object(Bucket=bucket, Key=key)
    except s3_client.errors() as error:
        return _rejection(error, uri)
    restored = 'ongoing-request="false"' in response.get("Restore", "")
    return _to_result(ObjectStatus.of(response["ContentLength"], response.get("StorageClass"), restored), uri)


def _to_result(status: ObjectStatus | None, uri: str) -> ProbeResult | AttachmentRejected:
    if status is None:
        bucket, key = s3_client.split_uri(uri)
        return AttachmentRejected(f"there is no object {key!r} in the bucket {bucket!r}", "correct the URI")
    if status.archived:
        return AttachmentRejected("is archived", "restore it to a readable storage class")
    return ProbeResult(status.size, _guess_content_type(uri))


def _guess_content_type(uri: str) -> str | None:
    """The content type for the suffix of the key: listings contain no other."""
    return _type_of(splitext(uri)[1])


@lru_cache(maxsize=1000)
def _type_of(suffix: str) -> str | None:
    return _TYPES.guess_type("x" + suffix, strict=False)[0]


def _rejection(error: Exception, uri: str) -> AttachmentRejected:
    """Convert an error to a rejection. Raises StoreUnavailable if it is not specific to this object."""
    problem = s3_errors.explain(error, uri)
    if problem.is_systemic:
        raise StoreUnavailable(f"{problem.reason}; {problem.fix}")
    return AttachmentRejected(problem.reason, problem.fix)


SCHEME = S3Scheme
