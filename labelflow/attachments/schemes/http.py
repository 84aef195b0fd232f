"""Attachments at http:// and https://, probed with one ranged GET where possible."""

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
from labelflow.attachments.media_probe import probe_media, probe_media_prefix
from labelflow.network.addresses import AddressRefused, has_credentials
from labelflow.network.public_adapter import PublicAdapter
from labelflow.network.timeouts import TotalTimeoutAdapter
from labelflow.scale.errors import TransientError
from labelflow.scale.retry import RetryPolicy, call_with_retries, retry_after_seconds
from labelflow.storage.ranged_file import RangedFile, ReadBudgetExceeded

MAX_REDIRECTS = 5
CONNECT_TIMEOUT = 5.0  # seconds
MAX_HOST_POOLS = 64  # hosts whose connections are kept open
MAX_DRAINED_BYTES = 4096  # of an unused body, read so that the connection can be reused
RETRIES = RetryPolicy(attempts=3, initial_delay=0.2, max_delay=2.0)
_HAS_HOST = re.compile(r"https?://[A-Za-z0-9]")  # a fast check; `_host` is exact
_REMOVE = "correct the URL, or remove the row"
_USE_PUBLIC_HOST = "use a public URL, or set `allow_private: true` under `attachments` in the job"
_REMOVE_CREDENTIALS = "remove them; make the file public, or sign its URL"
_RETRY_LATER = "run again later, or host the file elsewhere"
_MAKE_PUBLIC = "make it public, or sign its URL: Scale fetches it without credentials"
_FIXES = {401: _MAKE_PUBLIC, 403: _MAKE_PUBLIC, 429: "run again later, or ask the host for a higher rate limit"}

# urllib3 logs malformed responses with the whole URL, including signatures; they are reported in the rejects instead.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class TransientFailure(TransientError):
    """A failure that may pass. rejection: what to report if it does not. retry_after: seconds."""

    def __init__(self, rejection: AttachmentRejected, retry_after: float | None = None) -> None:
        super().__init__(rejection.reason, retry_after=retry_after)
        self.rejection = rejection


class HttpScheme:
    """Fetches the first bytes. It never sends HEAD: presigned URLs and many servers reject it."""

    names = ("http", "https")

    def __init__(self, threads: Executor, connections: int, timeout: float, *, allow_private: bool) -> None:
        self._threads = threads
        self._timeout = timeout
        self._circuit_breaker = CircuitBreaker()
        # Not a Session: it would keep cookies, send passwords of .netrc, look up proxies for each request, and read
        # the whole body of a redirect, whatever its size.
        adapter = TotalTimeoutAdapter if allow_private else PublicAdapter
        self._pool = adapter(pool_connections=MAX_HOST_POOLS, pool_maxsize=connections)
        self._proxies = getproxies()
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def close(self) -> None:
        self._pool.close()

    def check_form(self, uri: str) -> None:
        if not _HAS_HOST.match(uri) and not _host(uri):
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
        host, deadline = str(_host(request.uri)), Deadline(self._timeout)
        try:
            self._circuit_breaker.check(host)
        except AttachmentRejected as rejection:
            return rejection
        try:
            result: ProbeResult | AttachmentRejected = call_with_retries(
                lambda: self._attempt(request, deadline), RETRIES, deadline.sleep
            )
        except TransientFailure as failure:
            result = failure.rejection
        except AttachmentRejected as rejection:
            result = rejection
        except Exception as error:  # a parser may raise anything for arbitrary headers; only this row is affected
            result = AttachmentRejected(f"returned a response that cannot be parsed ({type(error).__name__})", _REMOVE)
        self._circuit_breaker.record(host, result)
        return result

    def _attempt(self, request: ProbeRequest, deadline: Deadline) -> ProbeResult:
        limit = request.head_bytes if request.content else 1
        with self._get(request.uri, 0, limit, deadline) as response:
            head = _read(response, limit, deadline)
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
        with self._get(url, start, stop, deadline) as response:
            if _total_size(response) is None:
                return _read(response, stop, deadline)[start:]
            return _read(response, stop - start, deadline)

    def _get(self, url: str, start: int, stop: int, deadline: Deadline) -> requests.Response:
        """Follow redirects; returns the final response, 200 or 206, with an unread body."""
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
                del headers["Range"]  # an empty file has no first byte; without a range the server returns 200
            else:
                return _check_status(response, deadline)
        raise AttachmentRejected(f"has more than {MAX_REDIRECTS} redirects", "use the URL that the redirects lead to")

    def _send(self, url: str, headers: dict[str, str], deadline: Deadline) -> requests.Response:
        remaining = deadline.remaining()
        try:
            return self._pool.send(
                requests.Request("GET", url, headers=headers).prepare(),
                stream=True,
                timeout=(min(remaining, CONNECT_TIMEOUT), remaining),
                verify=self._verify,
                proxies={} if should_bypass_proxies(url, no_proxy=None) else self._proxies,
            )
        except AddressRefused as refused:
            reason = f"is on a host that Scale cannot reach: {refused}"
            raise AttachmentRejected(reason, _USE_PUBLIC_HOST) from None
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise AttachmentRejected(
                    "is on a server with an invalid certificate", "renew the certificate"
                ) from None
            rejection = AttachmentRejected("is on a server whose TLS handshake fails", _RETRY_LATER)
            raise TransientFailure(rejection) from None
        except requests.exceptions.Timeout:
            raise TransientFailure(HostUnreachable("is on a server that does not respond", _RETRY_LATER)) from None
        except requests.exceptions.ConnectionError as error:
            raise TransientFailure(_unreachable(error)) from None
        except ValueError:
            raise AttachmentRejected("is not a URL that can be fetched", _REMOVE) from None
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
    # http.client decodes headers as Latin-1; servers send UTF-8.
    target = response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")
    url = urljoin(visited[-1], target)
    if not url.lower().startswith(("http://", "https://")):
        raise AttachmentRejected("redirects to a URL that is not http:// or https://", _REMOVE)
    if has_credentials(url):
        raise AttachmentRejected("redirects to a URL with a user name or a password", _REMOVE)
    if url in visited:
        raise AttachmentRejected("is a redirect loop", _REMOVE)
    return url


def _check_status(response: requests.Response, deadline: Deadline) -> requests.Response:
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return response
    retry_after = retry_after_seconds(response.headers)
    _drain(response, deadline)
    rejection = AttachmentRejected(
        f"answered {_status_text(status)}", _FIXES.get(status, _RETRY_LATER if status >= 500 else _REMOVE)
    )
    is_transient = status in (408, 429) or status >= 500
    if is_transient and (retry_after is None or retry_after < deadline.remaining()):
        raise TransientFailure(rejection, retry_after)
    raise rejection


def _status_text(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def _read(response: requests.Response, limit: int, deadline: Deadline) -> bytes:
    """Read the first bytes of the body, at most `limit`, however many the server sends."""
    content = b""
    try:
        while len(content) < limit and deadline.remaining():
            chunk = response.raw.read1(limit - len(content), decode_content=True)
            if not chunk:
                break
            content += chunk
    except HTTPError as error:
        raise TransientFailure(
            AttachmentRejected(f"was cut off during the download ({type(error).__name__})", _RETRY_LATER)
        ) from None
    return content


def _drain(response: requests.Response, deadline: Deadline) -> None:
    with response:
        _read(response, MAX_DRAINED_BYTES, deadline)


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


def _unreachable(error: requests.exceptions.ConnectionError) -> HostUnreachable:
    cause = getattr(error.args[0] if error.args else error, "reason", error)
    if type(cause).__name__ == "NameResolutionError":
        return HostUnreachable("is on an unknown host", _REMOVE)
    return HostUnreachable("is on a server that does not accept connections", _RETRY_LATER)


SCHEME = HttpScheme
