"""A total time limit for one HTTP response.

The read timeout of urllib3 and requests applies to each read of the socket. A server that sends single bytes slowly,
in a header, between two chunks or after the last one, can therefore delay a response without limit.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _DeadlineReader(io.RawIOBase):
    """Reads a socket; its timeout limits all reads together, from now on."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self._raw = cast(io.RawIOBase, sock.makefile("rb", buffering=0))
        self._end = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    """A response whose headers and body must arrive within the timeout of its socket."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock))


class DeadlineConnection(HTTPConnection):
    """A connection with a time limit for each whole response."""

    response_class = _DeadlineResponse


class DeadlineTlsConnection(HTTPSConnection):
    """The same with TLS."""

    response_class = _DeadlineResponse


class DeadlinePool(HTTPConnectionPool):
    """A pool of `DeadlineConnection`s."""

    ConnectionCls = DeadlineConnection


class DeadlineTlsPool(HTTPSConnectionPool):
    """A pool of `DeadlineTlsConnection`s."""

    ConnectionCls = DeadlineTlsConnection


class TotalTimeoutAdapter(HTTPAdapter):
    """An HTTPAdapter whose read timeout limits the whole response: its headers and its body together."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": DeadlinePool, "https": DeadlineTlsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if proxy.lower().startswith("socks"):  # its connections have classes of their own
            return manager
        manager.pool_classes_by_scheme = {"http": DeadlinePool, "https": DeadlineTlsPool}
        return manager
