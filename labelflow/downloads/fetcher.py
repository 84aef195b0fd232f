"""GET requests with redirects, retries, a total deadline, and a circuit breaker per host."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import requests
from requests.utils import should_bypass_proxies
from urllib3.exceptions import HTTPError

from labelflow.downloads.circuit_breaker import CircuitBreaker
from labelflow.downloads.deadline import Deadline
from labelflow.downloads.failures import RETRY_LATER, DownloadFailed, HostUnreachable, TransientFailure
from labelflow.network.addresses import AddressRefused, has_credentials
from labelflow.network.public_adapter import PublicAdapter
from labelflow.network.timeouts import TotalTimeoutAdapter
from labelflow.scale.retry import RetryPolicy, call_with_retries, retry_after_seconds

MAX_REDIRECTS = 5
CONNECT_TIMEOUT = 5.0  # seconds
MAX_HOST_POOLS = 64  # hosts whose connections are kept open
MAX_DRAINED_BYTES = 4096  # of an unused body, read so that the connection can be reused
READ_BYTES = 1 << 20  # of a body, read at once
RETRIES = RetryPolicy(attempts=3, initial_delay=0.2, max_delay=2.0)
REMOVE = "correct the URL, or remove the row"
_MAKE_PUBLIC = "make it public, or sign its URL: Scale fetches it without credentials"
_FIXES = {401: _MAKE_PUBLIC, 403: _MAKE_PUBLIC, 429: "run again later, or ask the host for a higher rate limit"}

T = TypeVar("T")
Headers = Mapping[str, str]

# urllib3 logs malformed responses with the whole URL, including signatures; they are reported to the user instead.
logging.getLogger("urllib3").setLevel(logging.ERROR)


def no_headers(url: str) -> Headers:
    """Return no headers."""
    return {}


class Fetcher:
    """Reads files over HTTP. Thread-safe; threads share the connections.

    connections: maximum number per host.
    allow_private: whether URLs may lead to addresses that are not public, such as 127.0.0.1.
    headers_for: returns the headers with credentials for a URL; called for each redirect, too.

    Example:
        with path.open("w+b") as file:
            fetcher.download("https://host/a.png", file, max_bytes=1 << 20, seconds=60)
    """

    def __init__(
        self, connections: int, *, allow_private: bool, headers_for: Callable[[str], Headers] = no_headers
    ) -> None:
        self._circuit_breaker = CircuitBreaker()
        self._headers_for = headers_for
        # Not a Session: it would keep cookies, send passwords of .netrc, look up proxies for each request, and read
        # the whole body of a redirect, whatever its size.
        adapter = TotalTimeoutAdapter if allow_private else PublicAdapter
        self._pool = adapter(pool_connections=MAX_HOST_POOLS, pool_maxsize=connections)
        self._proxies = getproxies()
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def download(self, url: str, file: BinaryIO, *, max_bytes: int, seconds: float) -> None:
        """Write the file at a URL into an empty local file.

        seconds: for all attempts together. Raises DownloadFailed, also for a file of more than `max_bytes`;
        AddressRefused; OSError if the local file cannot be written. The file then has any content.
        """

        def attempt(deadline: Deadline) -> None:
            file.seek(0)
            file.truncate()
            with self.get(url, deadline) as response:
                while block := read(response, READ_BYTES, deadline):
                    file.write(block)
                    if file.tell() > max_bytes:
                        raise DownloadFailed(f"is larger than {max_bytes >> 20:,} MiB", "store a smaller file")

        self.run(url, attempt, seconds)

    def run(self, url: str, attempt: Callable[[Deadline], T], seconds: float) -> T:
        """Call a function that reads from a URL until it succeeds, with the circuit breaker of its host.

        Raises DownloadFailed once the retries are used up, and what the function raises except TransientFailure.
        """
        host, deadline = str(host_of(url)), Deadline(seconds)
        self._circuit_breaker.check(host)
        failure: DownloadFailed | None = None
        try:
            return call_with_retries(lambda: attempt(deadline), RETRIES, deadline.sleep)
        except TransientFailure as error:
            failure = error.failure
            raise failure from None
        except DownloadFailed as error:
            failure = error
            raise
        finally:
            self._circuit_breaker.record(host, failure)

    def get(self, url: str, deadline: Deadline, start: int | None = None, stop: int = 0) -> requests.Response:
        """Request a file, or its bytes from `start` up to, but not including, `stop`.

        Follows redirects. Returns a response with the status 200 or 206 and an unread body.
        """
        headers = {"Accept-Encoding": "identity", "User-Agent": "labelflow"}
        if start is not None:
            headers["Range"] = f"bytes={start}-{stop - 1}"
        visited = [url]
        while len(visited) <= MAX_REDIRECTS + 1:
            response = self._send(url, {**headers, **self._headers_for(url)}, deadline)
            if response.is_redirect:
                _drain(response, deadline)
                url = _next_url(response, visited)
                visited.append(url)
            elif response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
                _drain(response, deadline)
                del headers["Range"]  # an empty file has no first byte; without a range the server returns 200
            else:
                return _check_status(response, deadline)
        raise DownloadFailed(f"has more than {MAX_REDIRECTS} redirects", "use the URL that the redirects lead to")

    def _send(self, url: str, headers: Headers, deadline: Deadline) -> requests.Response:
        remaining = deadline.remaining()
        try:
            return self._pool.send(
                requests.Request("GET", url, headers=headers).prepare(),
                stream=True,
                timeout=(min(remaining, CONNECT_TIMEOUT), remaining),
                verify=self._verify,
                proxies={} if should_bypass_proxies(url, no_proxy=None) else self._proxies,
            )
        except AddressRefused:
            raise
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise DownloadFailed("is on a server with an invalid certificate", "renew the certificate") from None
            failure = DownloadFailed("is on a server whose TLS handshake fails", RETRY_LATER)
            raise TransientFailure(failure) from None
        except requests.exceptions.Timeout:
            raise TransientFailure(HostUnreachable("is on a server that does not respond", RETRY_LATER)) from None
        except requests.exceptions.ConnectionError as error:
            raise TransientFailure(_unreachable(error)) from None
        except ValueError:
            raise DownloadFailed("is not a URL that can be fetched", REMOVE) from None
        except (requests.exceptions.RequestException, HTTPError) as error:
            failure = DownloadFailed(f"cannot be fetched ({type(error).__name__})", RETRY_LATER)
            raise TransientFailure(failure) from None


def host_of(url: str) -> str | None:
    """Return the host of a URL; None if it has none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def read(response: requests.Response, limit: int, deadline: Deadline) -> bytes:
    """Read the next bytes of a body, at most `limit`, however many the server sends. Raises TransientFailure."""
    content = b""
    try:
        while len(content) < limit and deadline.remaining():
            chunk = response.raw.read1(limit - len(content), decode_content=True)
            if not chunk:
                break
            content += chunk
    except HTTPError as error:
        raise TransientFailure(
            DownloadFailed(f"was cut off during the download ({type(error).__name__})", RETRY_LATER)
        ) from None
    return content


def _next_url(response: requests.Response, visited: list[str]) -> str:
    # http.client decodes headers as Latin-1; servers send UTF-8.
    target = response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace")
    url = urljoin(visited[-1], target)
    if not url.lower().startswith(("http://", "https://")):
        raise DownloadFailed("redirects to a URL that is not http:// or https://", REMOVE)
    if has_credentials(url):
        raise DownloadFailed("redirects to a URL with a user name or a password", REMOVE)
    if url in visited:
        raise DownloadFailed("is a redirect loop", REMOVE)
    return url


def _check_status(response: requests.Response, deadline: Deadline) -> requests.Response:
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return response
    retry_after = retry_after_seconds(response.headers)
    _drain(response, deadline)
    failure = DownloadFailed(
        f"answered {_status_text(status)}", _FIXES.get(status, RETRY_LATER if status >= 500 else REMOVE)
    )
    is_transient = status in (408, 429) or status >= 500
    if is_transient and (retry_after is None or retry_after < deadline.remaining()):
        raise TransientFailure(failure, retry_after)
    raise failure


def _status_text(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def _drain(response: requests.Response, deadline: Deadline) -> None:
    with response:
        read(response, MAX_DRAINED_BYTES, deadline)


def _unreachable(error: requests.exceptions.ConnectionError) -> HostUnreachable:
    cause = getattr(error.args[0] if error.args else error, "reason", error)
    if type(cause).__name__ == "NameResolutionError":
        return HostUnreachable("is on an unknown host", REMOVE)
    return HostUnreachable("is on a server that does not accept connections", RETRY_LATER)
