"""A small HTTP server for attachments of every kind, above all invalid ones."""

from __future__ import annotations

import re
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from PIL import Image


def picture(width: int = 8, height: int = 6, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of an image file of one colour."""
    content = BytesIO()
    Image.new("L", (width, height)).save(content, kind, **options)
    return content.getvalue()


def wav(seconds: float, rate: int = 100) -> bytes:
    """The bytes of a silent WAV file: 8 bits, mono; rate in samples per second."""
    data = bytes(int(seconds * rate))
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = b"\1\0\1\0" + rate.to_bytes(4, "little") * 2 + b"\1\0\x08\0"
    return head + form + b"data" + len(data).to_bytes(4, "little") + data


def tiff_with_late_header(width: int, height: int, pixels: int) -> bytes:
    """A TIFF file whose directory, which contains the image size, is after `pixels` bytes of pixels."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: pixels}
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + pixels) + bytes(pixels) + directory + bytes(4)


PAGE = b"<!DOCTYPE html><title>A preview</title><img src=cat.jpg>"


class Handler(BaseHTTPRequestHandler):
    """One connection; responses are those of the server's `routes`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.owner.connections += 1

    def do_GET(self) -> None:
        owner = self.server.owner
        path = self.path.partition("?")[0]
        owner.requests.append((self.command, self.path, dict(self.headers)))
        routes = owner.routes
        try:
            routes.get(path, Handler.not_found)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.server.owner.requests.append((self.command, self.path, dict(self.headers)))
        self.answer(405, b"")

    def not_found(self) -> None:
        self.answer(404, b"<html>no such thing</html>", {"Content-Type": "text/html"})

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a complete response."""
        self.start(status, {**(headers or {}), "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.send(body)

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and headers of a response."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, content: bytes) -> None:
        """Send a part of the body without buffering."""
        self.server.owner.sent += len(content)  # counted before the client can read it
        try:
            self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.server.owner.sent -= len(content)
            raise

    def log_message(self, *_: object) -> None:
        pass


Route = Callable[[Handler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: MediaServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection."""


class MediaServer:
    """A server. routes: response by path; requests, connections, sent (bytes): what it has counted."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.connections = 0
        self.sent = 0
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.owner = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def serve(self, path: str, route: Route) -> str:
        """Set the response for a path; returns its URL."""
        self.routes[path] = route
        return self.url + path

    def count(self, path: str) -> int:
        """The number of requests for a path."""
        return sum(target.partition("?")[0] == path for _, target, _ in self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def file_response(
    body: bytes, content_type: str | None = None, *, ranges: bool = True, total: bool = True, encoding: str = ""
) -> Route:
    """A file. ranges: support range requests; total: include the total size in Content-Range."""
    headers = {"Content-Type": content_type} if content_type else {}
    headers |= {"Content-Encoding": encoding} if encoding else {}

    def route(handler: Handler) -> None:
        requested = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        if not requested or not ranges:
            return handler.answer(200, body, headers)
        start, stop = int(requested[1]), min(int(requested[2]) + 1, len(body))
        if start >= len(body):
            return handler.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        range_headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(body) if total else '*'}"}
        return handler.answer(206, body[start:stop], range_headers)

    return route


def status_response(code: int, headers: Mapping[str, str] | None = None) -> Route:
    """A response with a status and a short body."""
    return lambda handler: handler.answer(code, b"no", headers)


def redirect(target: str) -> Route:
    """A redirect."""
    return lambda handler: handler.answer(302, b"moved", {"Location": target})


def sequence(*routes: Route) -> Route:
    """A different response to each request; the last one repeats."""
    remaining = list(routes)
    return lambda handler: (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)


def endless(start: bytes, content_type: str) -> Route:
    """A body without end and without Content-Length; ranges are ignored."""

    def route(handler: Handler) -> None:
        handler.close_connection = True
        handler.start(200, {"Content-Type": content_type, "Connection": "close"})
        handler.send(start)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            handler.send(bytes(1 << 14))

    return route


def chunked(body: bytes, content_type: str) -> Route:
    """A body with chunked encoding; ranges are ignored."""

    def route(handler: Handler) -> None:
        handler.start(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            handler.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.send(b"0\r\n\r\n")

    return route


def dripping(pause: float = 0.05) -> Route:
    """A body of one byte per `pause` seconds, so that no single read times out."""

    def route(handler: Handler) -> None:
        handler.close_connection = True
        handler.start(200, {"Content-Type": "image/png", "Content-Length": "100000"})
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            handler.send(b"\x89")
            time.sleep(pause)

    return route


def silent(seconds: float = 1.0) -> Route:
    """No response; the connection is closed after `seconds`."""

    def route(handler: Handler) -> None:
        handler.close_connection = True
        time.sleep(seconds)

    return route


def truncated(body: bytes, content_type: str) -> Route:
    """A body shorter than its Content-Length."""

    def route(handler: Handler) -> None:
        handler.close_connection = True
        handler.start(200, {"Content-Type": content_type, "Content-Length": str(len(body) + 1000)})
        handler.send(body)

    return route
