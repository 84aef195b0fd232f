"""A minimal HTTP/1.1 server for the stubs: persistent connections, no pipelining."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

Respond = Callable[[str, str, bytes], bytes]  # (method, target, body) -> the whole response


def response(status: int, content: bytes, kind: str = "application/json", length: int | None = None) -> bytes:
    """The bytes of a response; length: the Content-Length, if it differs (response to a HEAD)."""
    size = len(content) if length is None else length
    return f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + content


class Connection(asyncio.Protocol):
    """One connection; latency: seconds before each response."""

    def __init__(self, respond: Respond, latency: float) -> None:
        self._respond = respond
        self._latency = latency
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        method, target, _ = lines[0].split(" ")
        self._received = rest[length:]
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._respond_to, method, target, bytes(rest[:length]))
        else:
            self._respond_to(method, target, bytes(rest[:length]))

    def _respond_to(self, method: str, target: str, body: bytes) -> None:
        self._transport.write(self._respond(method, target, body))


def serve(name: str, respond: Respond, *, path: str = "", latency: float = 0.0, tls: Path | None = None) -> None:
    """Serve until the process ends; prints the URL once it listens. tls: a folder with cert.pem and key.pem."""
    uvloop.run(_serve_forever(name, lambda: Connection(respond, latency), path, tls))


async def _serve_forever(name: str, connect: Callable[[], Connection], path: str, tls: Path | None) -> None:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0, ssl=context)
    scheme, port = "https" if tls else "http", server.sockets[0].getsockname()[1]
    print(f"{name} listening on {scheme}://127.0.0.1:{port}{path}", flush=True)
    await server.serve_forever()
