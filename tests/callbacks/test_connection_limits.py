"""Senders without the key cannot occupy the receiver: with headers, slow requests, idle connections, large bodies."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from labelflow.callbacks import connection_limits, server
from labelflow.callbacks.server import CallbackServer
from tests.callbacks.test_callback_router import KEY, CallbackJob, callback_document, post, running_receiver
from tests.support.jobs import make_job

HEAD = f"POST /callback HTTP/1.1\r\nHost: x\r\n{server.AUTH_HEADER}: {KEY}\r\n"
BODY = json.dumps(callback_document(0)).encode()


@pytest.fixture
def callback_server(tmp_path: Path) -> Iterator[CallbackServer]:
    with running_receiver(CallbackJob(make_job(tmp_path), 20).job) as running:
        yield running


def connect(callback_server: CallbackServer) -> socket.socket:
    address = urlsplit(callback_server.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    content = b""
    with suppress(ConnectionError):
        while block := connection.recv(1 << 16):
            content += block
    return content


@pytest.mark.parametrize("pieces", [1, 64], ids=["at once", "in pieces"])
@pytest.mark.parametrize("head", [b"X-A: %s", b"%s: a", b"GET /%s HTTP/1.1"], ids=["value", "name", "path"])
def test_large_headers_are_refused(callback_server: CallbackServer, pieces: int, head: bytes) -> None:
    filler = b"a" * (connection_limits.MAX_HEAD_BYTES * 2)
    start = b"" if head.startswith(b"GET") else b"POST /callback HTTP/1.1\r\nHost: x\r\n"
    content = start + head % filler + b"\r\n\r\n"
    with closing(connect(callback_server)) as connection:
        size = -(-len(content) // pieces)
        with suppress(ConnectionError):
            for offset in range(0, len(content), size):
                connection.sendall(content[offset : offset + size])
                time.sleep(0.001 if pieces > 1 else 0)
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 431") or response == b""
    assert post(callback_server, callback_document(0)) == 200


def test_headers_that_do_not_arrive_in_time_end_the_connection(
    callback_server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_TIMEOUT", 0.3)
    for sent in (b"", b"POST /callback HTTP/1.1\r\nHost: x\r\n"):
        with closing(connect(callback_server)) as connection:
            connection.sendall(sent)
            started = time.monotonic()
            assert read_all(connection) == b""
            assert time.monotonic() - started < 5
    assert post(callback_server, callback_document(0)) == 200


def test_second_request_on_a_connection_works(callback_server: CallbackServer) -> None:
    head = f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n"
    with closing(connect(callback_server)) as connection:
        for _ in range(3):
            connection.sendall(head.encode() + BODY)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_idle_connections_do_not_refuse_callbacks(
    callback_server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS_PER_ADDRESS", 20)
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(connect(callback_server))) for _ in range(60)]
        for number in range(10):
            assert post(callback_server, callback_document(number)) == 200
        idle[0].settimeout(5)
        assert idle[0].recv(1) == b"", "the oldest idle connection is closed first"


def test_bodies_in_flight_are_limited_and_the_limit_is_released(
    callback_server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_BYTES_IN_FLIGHT", 1 << 20)
    head = f"{HEAD}Content-Length: 900000\r\n\r\n"
    large = {**callback_document(0), "padding": "x" * 500_000}
    with closing(connect(callback_server)) as slow:
        slow.sendall(head.encode() + b" " * 700_000)
        time.sleep(0.3)
        assert post(callback_server, large) == 503
        assert post(callback_server, callback_document(0)) == 200, "small ones fit"
    deadline = time.monotonic() + 5
    while post(callback_server, large) != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_large_callbacks_at_once_are_stored_one_after_the_other(callback_server: CallbackServer) -> None:
    statuses: list[int] = []
    large = {**callback_document(0), "padding": list(range(300_000))}
    threads = [threading.Thread(target=lambda: statuses.append(post(callback_server, large))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
