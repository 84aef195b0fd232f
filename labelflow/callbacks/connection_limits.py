"""Limits of the connections to the callback receiver: a sender without the key cannot occupy it.

uvicorn limits the time between two requests; this protocol limits the rest.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 << 10  # of the request line and the headers
HEAD_TIMEOUT = 10.0  # seconds until the headers of a request are complete, from its first byte or the connection
MAX_CONNECTIONS = 1500
MAX_CONNECTIONS_PER_ADDRESS = 500  # a reverse proxy has one address
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """A connection that is closed if its headers are too large or too late, or if idle connections take all places."""

    _head_bytes = 0
    _is_rejected = False
    _timer: asyncio.TimerHandle | None = None
    _last_used = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether the connection has no request whose headers are complete."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._last_used = time.monotonic()
        self._start_timer()
        connections = [cast(LimitedProtocol, each) for each in self.connections]
        _close_idle([each for each in connections if _address(each) == _address(self)], MAX_CONNECTIONS_PER_ADDRESS)
        _close_idle(connections, MAX_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer:  # the headers are not complete
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._reject()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        self._start_timer()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._last_used = time.monotonic()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._reject()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_rejected:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_rejected:
            super().on_message_complete()

    def _reject(self) -> None:
        self._is_rejected = True
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _address(connection: LimitedProtocol) -> str | None:
    return connection.client[0] if connection.client else None


def _close_idle(connections: list[LimitedProtocol], limit: int) -> None:
    """Close the connections that are idle for the longest time until at most `limit` are left."""
    excess = len(connections) - limit
    if excess > 0:
        idle = sorted((each for each in connections if each.is_idle), key=lambda each: each._last_used)
        for connection in idle[:excess]:
            connection.transport.close()
