"""Attachments at http:// and https://, probed with one ranged GET where possible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Executor
from http import HTTPStatus

import requests

from labelflow.attachments.attachment import (
    HEAD_BYTES,
    MEASURE_BUDGET,
    AttachmentRejected,
    CheckLevel,
    ProbeRequest,
    ProbeResult,
)
from labelflow.attachments.media_probe import probe_media, probe_media_prefix
from labelflow.downloads.deadline import Deadline
from labelflow.downloads.failures import DownloadFailed
from labelflow.downloads.fetcher import REMOVE, Fetcher, host_of, read
from labelflow.network.addresses import AddressRefused, has_credentials
from labelflow.storage.ranged_file import RangedFile, ReadBudgetExceeded

_HAS_HOST = re.compile(r"https?://[A-Za-z0-9]")  # a fast check; `host_of` is exact
_USE_PUBLIC_HOST = "use a public URL, or set `allow_private: true` under `attachments` in the job"
_REMOVE_CREDENTIALS = "remove them; make the file public, or sign its URL"


class HttpScheme:
    """Fetches the first bytes. It never sends HEAD: presigned URLs and many servers reject it."""

    names = ("http", "https")

    def __init__(self, threads: Executor, connections: int, timeout: float, *, allow_private: bool) -> None:
        self._threads = threads
        self._timeout = timeout
        self._fetcher = Fetcher(connections, allow_private=allow_private)

    def close(self) -> None:
        self._fetcher.close()

    def check_form(self, uri: str) -> None:
        if not _HAS_HOST.match(uri) and not host_of(uri):
            raise AttachmentRejected("has no host", "use a full URL: https://host/path")
        if has_credentials(uri):
            raise AttachmentRejected(
                "contains a user name or a password, which Scale does not use", _REMOVE_CREDENTIALS
            )

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        return level is not CheckLevel.EXISTS

    def probe(self, probe_requests: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        return list(self._threads.map(self._probe_one, probe_requests))

    def _probe_one(self, request: ProbeRequest) -> ProbeResult | AttachmentRejected:
        try:
            return self._fetcher.run(request.uri, lambda deadline: self._attempt(request, deadline), self._timeout)
        except DownloadFailed as failure:
            return AttachmentRejected(failure.reason, failure.fix)
        except AddressRefused as refused:
            return AttachmentRejected(f"is on a host that Scale cannot reach: {refused}", _USE_PUBLIC_HOST)
        except Exception as error:  # a parser may raise anything for arbitrary headers; only this row is affected
            return AttachmentRejected(f"returned a response that cannot be parsed ({type(error).__name__})", REMOVE)

    def _attempt(self, request: ProbeRequest, deadline: Deadline) -> ProbeResult:
        limit = request.head_bytes if request.content else 1
        with self._fetcher.get(request.uri, deadline, 0, limit) as response:
            head = read(response, limit, deadline)
            size = _size(response, head, limit)
            content_type = response.headers.get("Content-Type")
        if not request.content:
            return ProbeResult(size, content_type)
        if size is None:
            return probe_media_prefix(head, content_type, request.attachment_type)

        supports_ranges = _total_size(response) is not None

        def read_range(start: int, stop: int) -> bytes:
            # Without range support, everything before has to be read as well.
            if not supports_ranges and stop > MEASURE_BUDGET:
                raise ReadBudgetExceeded(f"reading {stop} bytes exceeds the budget of {MEASURE_BUDGET} bytes")
            return self._read_range(request.uri, start, stop, deadline)

        file = RangedFile(read_range, size, HEAD_BYTES, budget=MEASURE_BUDGET, prefix=head)
        return probe_media(file, content_type, request.attachment_type)

    def _read_range(self, url: str, start: int, stop: int, deadline: Deadline) -> bytes:
        with self._fetcher.get(url, deadline, start, stop) as response:
            if _total_size(response) is None:
                return read(response, stop, deadline)[start:]
            return read(response, stop - start, deadline)


def _size(response: requests.Response, head: bytes, limit: int) -> int | None:
    """Size of the whole file in bytes; None if it is unknown and larger than what was read."""
    is_partial = response.status_code == HTTPStatus.PARTIAL_CONTENT or "Content-Range" in response.headers
    if not is_partial and len(head) < limit:
        return len(head)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None  # the declared sizes are those of the compressed bytes
    length = response.headers.get("Content-Length", "")
    return _total_size(response) if is_partial else int(length) if length.isdigit() else None


def _total_size(response: requests.Response) -> int | None:
    """The size of the whole file according to `Content-Range`, None without it."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


SCHEME = HttpScheme
