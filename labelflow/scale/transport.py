"""Single HTTP exchanges with the Scale API, without retries."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ssl import SSLCertVerificationError
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import urllib3
from requests import PreparedRequest, RequestException
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from labelflow.lenient_json import parse_json
from labelflow.network.addresses import is_loopback
from labelflow.network.timeouts import TotalTimeoutAdapter
from labelflow.problems import printable
from labelflow.scale.errors import ConnectError, InvalidResponse, ResponseLost, ResponseTooLarge, error_for_status
from labelflow.scale.retry import parse_http_date, retry_after_seconds

MAX_RESPONSE_BYTES = 32 << 20  # after decompression; a task takes a few kilobytes
READ_BYTES = 1 << 20  # of a body, read at once
CLOCK_INTERVAL = 60.0  # seconds between two readings of the server's clock
_NO_RETRIES = urllib3.Retry(False, redirect=False)  # `call_with_retries` retries


@dataclass(frozen=True, slots=True)
class Reply:
    """The JSON object of a response. size: the bytes of its body, without compression."""

    content: dict[str, Any]
    size: int


class HttpTransport:
    """Sends requests with one key over a pool of kept-alive connections. Thread-safe.

    url: the base URL, without a slash at its end.
    connections: the size of the pool; a thread waits if all connections are in use.
    timeout: seconds to connect, and seconds for the whole response after that.
    redact: removes secrets from what the server says; an error message may quote the request.
    server_time: the server's time at this moment, if it is known.
    """

    def __init__(
        self,
        key: str,
        url: str,
        connections: int,
        timeout: tuple[float, float],
        redact: Callable[[str], str],
        server_time: datetime | None = None,
    ) -> None:
        self._url = url
        self._timeout = urllib3.Timeout(connect=timeout[0], read=timeout[1])
        self._redact = redact
        credentials = base64.b64encode(f"{key}:".encode()).decode()
        self._secrets = (key, credentials)
        # A time of the server, and monotonic seconds when it was read.
        self._server_clock = (server_time, time.monotonic()) if server_time else None
        self._adapter = TotalTimeoutAdapter(pool_connections=1, pool_maxsize=connections, pool_block=True)
        self._pool, self._base_path = _connection_pool(url, self._adapter)
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": "labelflow",
        }
        self._json_headers = {**self._headers, "Content-Type": "application/json"}

    @property
    def server_time(self) -> datetime | None:
        """The server's time (UTC) according to the last `Date` that was read; None without one."""
        if self._server_clock is None:
            return None
        date, read_at = self._server_clock
        return date + timedelta(seconds=time.monotonic() - read_at)

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Send a request and return the JSON object of its response.

        path: below the base URL, with the query string. body: JSON.
        Raises ScaleError; no error contains the key.
        """
        headers = self._headers if body is None else self._json_headers
        try:
            response = self._pool.urlopen(
                method,
                self._base_path + path,
                body,
                headers,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,  # a proxy has another host
                timeout=self._timeout,
                preload_content=False,
            )
            content = _read_body(response)
        except HTTPError as error:
            raise self._connection_error(error) from None
        self._read_clock(response.headers.get("Date"))
        if response.status == 200:
            return Reply(self._parse_object(content), len(content))
        retry_after = retry_after_seconds(response.headers)
        message = printable(self._strip_secrets(_error_text(response, content)))
        raise error_for_status(response.status, message, retry_after)

    def _read_clock(self, date: str | None) -> None:
        """Take the server's time from a response, once in CLOCK_INTERVAL."""
        if self._server_clock and time.monotonic() - self._server_clock[1] < CLOCK_INTERVAL:
            return
        if moment := parse_http_date(date or ""):
            self._server_clock = moment, time.monotonic()

    def _parse_object(self, content: bytes) -> dict[str, Any]:
        try:
            doc = parse_json(content)
        except ValueError:
            raise ResponseLost(f"the response is not valid JSON: {self._excerpt(content)}") from None
        if not isinstance(doc, dict):
            raise InvalidResponse(f"the response is not a JSON object: {self._excerpt(content)}")
        return doc

    def _excerpt(self, content: bytes) -> str:
        return self._strip_secrets(repr(content[:400]))[:80]

    def _strip_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return self._redact(text)

    def _connection_error(self, error: HTTPError) -> ConnectError | ResponseLost:
        """Return ConnectError only if nothing was sent; otherwise the request may have been executed."""
        not_connected = isinstance(error, NewConnectionError | ConnectTimeoutError)
        if not_connected or isinstance(error.args[0] if error.args else None, SSLCertVerificationError):
            return ConnectError(f"no connection to {self._host()}: {_summarize(error)}")
        return ResponseLost(f"the connection to {self._host()} was lost: {_summarize(error)}")

    def _host(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _connection_pool(url: str, adapter: HTTPAdapter) -> tuple[urllib3.HTTPConnectionPool, str]:
    """Return the connection pool of a server and the prefix of its paths.

    Proxies and certificates are resolved once, by the rules of requests. A requests.Session resolves them for each
    request, which doubles its time. What is sent to this machine is not sent through a proxy.
    Raises ConnectError if the settings of the proxies are invalid.
    """
    request = PreparedRequest()
    request.url = url
    proxies = {} if is_loopback(url) else get_environ_proxies(url)
    verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    try:
        pool = adapter.get_connection_with_tls_context(request, verify, proxies=proxies)
    except (RequestException, HTTPError, ValueError, TypeError):  # they may contain the password of the proxy
        raise ConnectError("the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used") from None
    return cast(urllib3.HTTPConnectionPool, pool), adapter.request_url(request, proxies).rstrip("/")


def _read_body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read a body to its end. Raises ResponseTooLarge, and then closes the connection."""
    content = bytearray()
    try:
        while piece := response.read(READ_BYTES, decode_content=True):
            content += piece
            if len(content) > MAX_RESPONSE_BYTES:
                response.close()
                raise ResponseTooLarge(f"the response is larger than {MAX_RESPONSE_BYTES >> 20} MiB", response.status)
    finally:
        response.release_conn()
    return bytes(content)


def _error_text(response: urllib3.BaseHTTPResponse, content: bytes) -> str:
    """Return the `error` of a response, else its status line."""
    try:
        error = orjson.loads(content).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        error = None
    return str(error) if error else f"HTTP {response.status} {response.reason or ''}".strip()


def _summarize(error: object) -> str:
    """Return the innermost message of a nested network error on one line, without object addresses."""
    return " ".join(str(error).rsplit(">: ", 1)[-1].split())[:160] or type(error).__name__
