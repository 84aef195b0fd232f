"""Attachments at http:// and https://: one ranged GET tells nearly everything."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import requests
from requests.utils import should_bypass_proxies
from urllib3.exceptions import HTTPError

from labelflow.attachments.attachment import (
    HEAD_BYTES,
    MEASURE_BUDGET,
    AttachmentRejected,
    CheckLevel,
    ProbeRequest,
    ProbeResult,
)
from labelflow.attachments.circuit_breaker import CircuitBreaker, HostUnreachable
from labelflow.attachments.deadline import Deadline
from labelflow.attachments.http_timeouts import TotalTimeoutAdapter
from labelflow.attachments.media_probe import probe_media, probe_media_prefix
from labelflow.scale.errors import TransientError
from labelflow.scale.retry import RetryPolicy, call_with_retries, retry_after_seconds
from labelflow.storage.ranged_file import RangedFile, ReadBudgetExceeded

MAX_REDIRECTS = 5
CONNECT_TIMEOUT = 5.0  # seconds
MAX_HOST_POOLS = 64  # whose connections are kept
MAX_DRAINED_BYTES = 4096  # bytes of a redirect that are read so that its connection can be used again
RETRIES = RetryPolicy(attempts=3, initial_delay=0.2, max_delay=2.0)
_HAS_HOST = re.compile(r"https?://[A-Za-z0-9]")  # at first sight; `_host` looks closer
_REMOVE = "correct the URL, or remove the row"
_RETRY_LATER = "run again later, or host the file elsewhere"
_MAKE_PUBLIC = "make it public, or sign its URL: Scale fetches it without credentials"
_FIXES = {401: _MAKE_PUBLIC, 403: _MAKE_PUBLIC, 429: "run again later, or ask the host for a higher rate"}

# Of odd answers it logs the whole URL, signature and all; what is wrong with them is the row's verdict.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class TransientFailure(TransientError):
    """Trouble that may pass; `rejection` is what is left to say where it does not."""

    def __init__(self, refused: AttachmentRejected, retry_after: float | None = None) -> None:
        super().__init__(refused.reason, retry_after=retry_after)
        self.rejection = refused


class HttpScheme:
    """Fetches the first bytes. HEAD is never asked: signed URLs and many servers refuse it."""

    names = ("http", "https")

    def __init__(self, threads: Executor, connections: int, timeout: float) -> None:
        self._threads = threads
        self._timeout = timeout
        self._circuit_breaker = CircuitBreaker()
        # Not a Session: it would keep cookies, lend .netrc's passwords to any URL, look up proxies for each
        # request anew, and read a redirect's body to its end, however long.
        self._pool = TotalTimeoutAdapter(pool_connections=MAX_HOST_POOLS, pool_maxsize=connections)
        self._proxies = getproxies()
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def close(self) -> None:
        self._pool.close()

    def check_form(self, uri: str) -> None:
        if not _HAS_HOST.match(uri) and not _host(uri):
            raise AttachmentRejected("names no host", "use a full URL: https://host/path")

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        return level is not CheckLevel.EXISTS

    def probe(self, wanted: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        return list(self._threads.map(self._probe_one, wanted))

    def _probe_one(self, wanted: ProbeRequest) -> ProbeResult | AttachmentRejected:
        host, deadline = str(_host(wanted.uri)), Deadline(self._timeout)
        try:
            self._circuit_breaker.check(host)
        except AttachmentRejected as refused:
            return refused
        try:
            found: ProbeResult | AttachmentRejected = call_with_retries(
                lambda: self._attempt(wanted, deadline), RETRIES, deadline.sleep
            )
        except TransientFailure as passing:
            found = passing.rejection
        except AttachmentRejected as refused:
            found = refused
        except Exception as error:  # headers made by anyone may upset any parser; that is this row's trouble only
            found = AttachmentRejected(f"gave an answer that cannot be understood ({type(error).__name__})", _REMOVE)
        self._circuit_breaker.record(host, found)
        return found

    def _attempt(self, wanted: ProbeRequest, deadline: Deadline) -> ProbeResult:
        limit = wanted.head_bytes if wanted.content else 1
        with self._get(wanted.uri, 0, limit, deadline) as response:
            head = _read(response, limit, deadline)
            size = _size(response, head, limit)
            content_type = response.headers.get("Content-Type")
        if not wanted.content:
            return ProbeResult(size, content_type)
        if size is None:
            return probe_media_prefix(head, content_type, wanted.attachment_type)

        in_ranges = _total(response) is not None

        def read_range(start: int, stop: int) -> bytes:
            # Without ranges all that is before has to be read as well.
            if not in_ranges and stop > MEASURE_BUDGET:
                raise ReadBudgetExceeded(f"{stop} bytes would have to be read")
            return self._read_range(wanted.uri, start, stop, deadline)

        file = RangedFile(read_range, size, HEAD_BYTES, budget=MEASURE_BUDGET, prefix=head)
        return probe_media(file, content_type, wanted.attachment_type)

    def _read_range(self, url: str, start: int, stop: int, deadline: Deadline) -> bytes:
        with self._get(url, start, stop, deadline) as response:
            if _total(response) is None:
                return _read(response, stop, deadline)[start:]
            return _read(response, stop - start, deadline)

    def _get(self, url: str, start: int, stop: int, deadline: Deadline) -> requests.Response:
        """The answer, 200 or 206, at the end of all redirects; its body not yet read."""
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity", "User-Agent": "labelflow"}
        visited = [url]
        while len(visited) <= MAX_REDIRECTS + 1:
            response = self._send(url, headers, deadline)
            if response.is_redirect:
                _drain(response, deadline)
                url = _next_url(response, visited)
                visited.append(url)
            elif response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
                _drain(response, deadline)
                del headers["Range"]  # an empty file has no first byte: without a range it answers 200
            else:
                return _accepted(response, deadline)
        raise AttachmentRejected(
            f"is redirected more than {MAX_REDIRECTS} times", "use the URL that the redirects lead to"
        )

    def _send(self, url: str, headers: dict[str, str], deadline: Deadline) -> requests.Response:
        left = deadline.remaining()
        try:
            return self._pool.send(
                requests.Request("GET", url, headers=headers).prepare(),
                stream=True,
                timeout=(min(left, CONNECT_TIMEOUT), left),
                verify=self._verify,
                proxies={} if should_bypass_proxies(url, no_proxy=None) else self._proxies,
            )
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise AttachmentRejected("is on a server whose certificate is not accepted", "renew it") from None
            raise TransientFailure(
                AttachmentRejected("is on a server that makes no secure connection", _RETRY_LATER)
            ) from None
        except requests.exceptions.Timeout:
            raise TransientFailure(HostUnreachable("is on a server that does not answer", _RETRY_LATER)) from None
        except requests.exceptions.ConnectionError as error:
            raise TransientFailure(_unreachable(error)) from None
        except ValueError:
            raise AttachmentRejected("is no URL that can be fetched", _REMOVE) from None
        except (requests.exceptions.RequestException, HTTPError) as error:
            raise TransientFailure(
                AttachmentRejected(f"cannot be fetched ({type(error).__name__})", _RETRY_LATER)
            ) from None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _next_url(response: requests.Response, visited: list[str]) -> str:
    # Header lines come as Latin-1; servers mean UTF-8.
    target = response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")
    url = urljoin(visited[-1], target)
    if not url.lower().startswith(("http://", "https://")):
        raise AttachmentRejected("is redirected to what is no http:// or https:// URL", _REMOVE)
    if url in visited:
        raise AttachmentRejected("is redirected in a circle", _REMOVE)
    return url


def _accepted(response: requests.Response, deadline: Deadline) -> requests.Response:
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return response
    retry_after = retry_after_seconds(response.headers.get("Retry-After"))
    _drain(response, deadline)
    refused = AttachmentRejected(
        f"answered {_status_text(status)}", _FIXES.get(status, _RETRY_LATER if status >= 500 else _REMOVE)
    )
    may_pass = status in (408, 429) or status >= 500
    if may_pass and (retry_after is None or retry_after < deadline.remaining()):
        raise TransientFailure(refused, retry_after)
    raise refused


def _status_text(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def _read(response: requests.Response, limit: int, deadline: Deadline) -> bytes:
    """The body's first bytes, no more than the limit, however much the server sends."""
    content = b""
    try:
        while len(content) < limit and deadline.remaining():
            piece = response.raw.read1(limit - len(content), decode_content=True)
            if not piece:
                break
            content += piece
    except HTTPError as error:
        raise TransientFailure(
            AttachmentRejected(f"broke off while it was read ({type(error).__name__})", _RETRY_LATER)
        ) from None
    return content


def _drain(response: requests.Response, deadline: Deadline) -> None:
    with response:
        _read(response, MAX_DRAINED_BYTES, deadline)


def _size(response: requests.Response, head: bytes, limit: int) -> int | None:
    """Bytes in the whole file; None where the server does not say and there are more than were read."""
    part = response.status_code == HTTPStatus.PARTIAL_CONTENT or "Content-Range" in response.headers
    if not part and len(head) < limit:
        return len(head)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None  # sizes would be those of the compressed bytes
    length = response.headers.get("Content-Length", "")
    return _total(response) if part else int(length) if length.isdigit() else None


def _total(response: requests.Response) -> int | None:
    """The size of the whole file, where the answer is a part of it."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _unreachable(error: requests.exceptions.ConnectionError) -> HostUnreachable:
    cause = getattr(error.args[0] if error.args else error, "reason", error)
    if type(cause).__name__ == "NameResolutionError":
        return HostUnreachable("is on a host that is not known", _REMOVE)
    return HostUnreachable("is on a server that takes no connection", _RETRY_LATER)


SCHEME = HttpScheme
