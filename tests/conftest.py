"""Fixtures that all tests share: real servers on local sockets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from labelflow.submission import reconciliation
from tests.support.media_server import MediaServer

pytest_plugins = ["tests.support.s3_servers", "tests.support.demo_s3", "tests.support.prefect_server"]


class StubServer:
    """A local HTTP server. `respond(method, path, body)` gives status, content and headers, or None to hang up."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.clock_offset = 0.0  # seconds that its clock is ahead of this machine's
        self.sends_date = True
        self.respond: Callable[[str, str, bytes], tuple[int, Any, dict[str, str]] | None] = lambda *_: (200, {}, {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # head and body leave in one piece

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + outer.clock_offset)

            def send_header(self, keyword: str, value: str) -> None:
                if keyword != "Date" or outer.sends_date:
                    super().send_header(keyword, value)

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, body, dict(self.headers)))
                answer = outer.respond(self.command, self.path, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, content, headers = answer
                payload = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stub_server() -> Iterator[StubServer]:
    server = StubServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_listing_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of these tests list a task at once: nothing needs to be waited for."""
    monkeypatch.setattr(reconciliation, "LISTING_LAG", 0.05)


@pytest.fixture
def media() -> Iterator[MediaServer]:
    """An HTTP server for attachments."""
    server = MediaServer()
    yield server
    server.close()
