"""Details of the client, its retries and its times."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from labelflow.scale import transport
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import InvalidRequest, ResponseLost, ResponseTooLarge, ServerError
from labelflow.scale.models import PAGE_LIMIT, Mode, format_time, parse_time
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.scale.retry import RetryPolicy, call_with_retries, retry_after_seconds
from tests.conftest import StubServer

KEY = "test_5d3c1f"
FAST_RETRY = RetryPolicy(attempts=4, initial_delay=0.001, max_delay=0.002)


def task(number: int, **fields: Any) -> dict[str, Any]:
    return {"task_id": f"{number:024x}", "type": "annotation", "status": "pending", **fields}


class RecordingRateLimiter(RateLimiter):
    """Records the calls of the client."""

    def __init__(self) -> None:
        super().__init__(None)
        self.calls: list[tuple[str, float | None]] = []

    def wait(self) -> None:
        self.calls.append(("wait", None))

    def back_off(self, retry_after: float | None) -> None:
        self.calls.append(("back_off", retry_after))


def test_creations_wait_for_the_rate_limiter_and_429_makes_it_back_off(stub_server: StubServer) -> None:
    headers = {"Retry-After": "0"}
    stub_server.respond = lambda *_: (429, {}, headers) if len(stub_server.requests) < 3 else (200, task(1), {})
    rate_limiter = RecordingRateLimiter()
    with ScaleClient(KEY, stub_server.url, retry=FAST_RETRY, rate_limiter=rate_limiter) as client:
        client.create_task("annotation", {})
        client.get_task("a")
    wait, back_off = ("wait", None), ("back_off", 0.0)
    assert rate_limiter.calls == [wait, back_off, wait, back_off, wait]


def test_timed_out_creation_is_recovered_before_it_is_repeated(stub_server: StubServer) -> None:
    hang = threading.Event()

    def answer(*_: object) -> tuple[int, Any, dict[str, str]] | None:
        if len(stub_server.requests) > 1:
            return 200, task(2), {}
        hang.wait(5)
        return None

    stub_server.respond = answer
    recoveries: list[int] = []
    client = ScaleClient(KEY, stub_server.url, retry=FAST_RETRY, timeout=(1.0, 0.2))
    assert client.create_task("annotation", {}, lambda: recoveries.append(1)).task_id == f"{2:024x}"
    hang.set()
    assert recoveries == [1]


def test_undecodable_response_body_counts_as_lost(stub_server: StubServer) -> None:
    stub_server.respond = lambda *_: (200, b"not gzip", {"Content-Encoding": "gzip"})
    client = ScaleClient(KEY, stub_server.url, retry=RetryPolicy(attempts=1))
    with pytest.raises(ResponseLost) as caught:
        client.create_task("annotation", {})
    assert caught.value.outcome_unknown


def test_more_ids_than_a_page_holds_are_rejected_before_sending(stub_server: StubServer) -> None:
    stub_server.respond = lambda *_: (200, {"docs": [], "has_more": False}, {})
    client = ScaleClient(KEY, stub_server.url, retry=FAST_RETRY)
    client.find_by_unique_id([f"job/{number}" for number in range(PAGE_LIMIT)])
    assert len(stub_server.requests) == 1
    with pytest.raises(InvalidRequest):
        client.find_by_unique_id([f"job/{number}" for number in range(PAGE_LIMIT + 1)])
    assert len(stub_server.requests) == 1


def test_canceling_frees_the_unique_id_only_on_request(stub_server: StubServer) -> None:
    stub_server.respond = lambda *_: (200, task(1), {})
    client = ScaleClient(KEY, stub_server.url, retry=FAST_RETRY)
    client.cancel_task("a")
    client.cancel_task("a", clear_unique_id=True)
    assert [path for _, path, _, _ in stub_server.requests] == ["/task/a/cancel", "/task/a/cancel?clear_unique_id=true"]


def test_retry_delays_double_up_to_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    policy = RetryPolicy(attempts=9, initial_delay=0.25, max_delay=5.0)
    error = ServerError("oops")
    assert [policy.delay_after(failures, error) for failures in range(1, 8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_retry_after_may_be_shorter_than_the_delay() -> None:
    policy = RetryPolicy(initial_delay=10.0)
    assert policy.delay_after(1, ServerError("oops", 503, retry_after=0.001)) >= 5.0


def test_recovery_runs_after_the_delay_because_listings_lag() -> None:
    steps: list[str] = []

    def call() -> str:
        steps.append("call")
        if len(steps) == 1:
            raise ResponseLost("lost")
        return "result"

    result = call_with_retries(call, FAST_RETRY, lambda _: steps.append("sleep"), lambda: steps.append("recover"))
    assert result == "result"
    assert steps == ["call", "sleep", "recover", "call"]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5))])
def test_retry_after_may_be_a_date_in_any_time_zone(zone: timezone) -> None:
    moment = datetime.now(zone) + timedelta(seconds=90)
    assert retry_after_seconds({"Retry-After": format_datetime(moment)}) == pytest.approx(90, abs=3)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_retry_after_date_is_compared_with_the_date_of_the_response(minutes: int) -> None:
    server_time = datetime.now(UTC) + timedelta(minutes=minutes)
    moment = server_time + timedelta(seconds=90)
    headers = {"Retry-After": format_datetime(moment), "Date": format_datetime(server_time)}
    assert retry_after_seconds(headers) == 90


@pytest.mark.parametrize("year", [1, 9999])
def test_implausible_date_of_a_response_is_ignored(stub_server: StubServer, year: int) -> None:
    date = f"Sat, 01 Jan {year:04} 00:00:00 GMT"
    stub_server.sends_date = False
    stub_server.respond = lambda *_: (200, {"docs": [], "total": 0, "has_more": False}, {"Date": date})
    client = ScaleClient(KEY, stub_server.url, retry=FAST_RETRY)
    assert list(client.list_tasks()) == []
    assert client.server_time is None
    assert client.earliest_now() < client.now()


def test_parsed_times_are_utc() -> None:
    assert parse_time("2026-11-23T10:00:00") == datetime(2026, 11, 23, 10, tzinfo=UTC)
    eastern = parse_time("2026-11-23T10:00:00-05:00")
    assert eastern == datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert eastern is not None
    assert eastern.tzinfo is UTC


def test_times_are_formatted_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 23, 10, 0, 0, 250_999, timezone(timedelta(hours=-5)))
    assert format_time(moment) == "2026-11-23T15:00:00.250Z"


@pytest.mark.parametrize(
    ("key", "mode"),
    [("test_a", Mode.TEST), ("a|test", Mode.TEST), ("live_a", Mode.LIVE), ("a|live", Mode.LIVE), ("a", None)],
)
def test_the_mode_of_a_key(key: str, mode: Mode | None) -> None:
    assert Mode.from_key(key) is mode


class TricklingServer:
    """Sends each response byte by byte; `fast` responses at once. One connection serves several requests."""

    def __init__(self) -> None:
        self.connections = 0
        self.trickled = "head"  # what the next response sends slowly: head, body, or nothing
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        body = json.dumps(task(1)).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with connection, suppress(OSError):  # the client closes first
            while b"\r\n\r\n" in connection.recv(1 << 16):
                at_once = {"head": 0, "body": len(head), "nothing": len(head + body)}[self.trickled]
                connection.sendall((head + body)[:at_once])
                for byte in (head + body)[at_once:]:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.1)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def trickling_server() -> Iterator[TricklingServer]:
    server = TricklingServer()
    yield server
    server.close()


@pytest.mark.parametrize("trickled", ["head", "body"])
@pytest.mark.parametrize("is_reused", [False, True])
def test_trickling_response_ends_at_the_timeout_and_the_next_request_works(
    trickling_server: TricklingServer, trickled: str, is_reused: bool
) -> None:
    with ScaleClient(KEY, trickling_server.url, retry=RetryPolicy(attempts=1), timeout=(1.0, 0.5)) as client:
        if is_reused:
            trickling_server.trickled = "nothing"
            for _ in range(3):
                client.get_task("a")
                time.sleep(0.2)  # idle time is not part of a response
            assert trickling_server.connections == 1
        trickling_server.trickled = trickled
        start = time.monotonic()
        with pytest.raises(ResponseLost) as caught:
            client.get_task("a")
        assert 0.4 < time.monotonic() - start < 0.9
        assert caught.value.outcome_unknown
        trickling_server.trickled = "nothing"
        assert client.get_task("a").task_id == f"{1:024x}"
        assert trickling_server.connections == 2


class LargeTasks:
    """A list of tasks of some bytes each, which honors `limit` and `offset`."""

    def __init__(self, stub_server: StubServer, count: int, size: int) -> None:
        self.limits: list[int] = []
        self._tasks = [task(number, metadata={"text": "x" * size}) for number in range(count)]
        stub_server.respond = self.respond

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        query = parse_qs(urlsplit(path).query)
        limit, offset = int(query["limit"][0]), int(query.get("offset", ["0"])[0])
        self.limits.append(limit)
        docs = self._tasks[offset : offset + limit]
        return 200, {"docs": docs, "total": len(self._tasks), "has_more": offset + limit < len(self._tasks)}, {}


def test_pages_of_large_tasks_get_smaller_and_grow_again(stub_server: StubServer) -> None:
    api = LargeTasks(stub_server, 240, 200_000)
    api._tasks[140:] = [task(number) for number in range(140, 240)]
    with ScaleClient(KEY, stub_server.url, retry=FAST_RETRY) as client:
        assert [each.task_id for each in client.list_tasks()] == [f"{number:024x}" for number in range(240)]
    assert (api.limits[:2], api.limits[-1]) == ([PAGE_LIMIT, 41], PAGE_LIMIT)


def test_page_that_is_too_large_is_requested_in_smaller_ones(
    stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1 << 20)
    api = LargeTasks(stub_server, 100, 40_000)
    with ScaleClient(KEY, stub_server.url, retry=FAST_RETRY, connections=1) as client:
        assert len(list(client.list_tasks())) == 100
        assert len(client.find_by_unique_id(["x"])) == 0
    assert api.limits[:2] == [PAGE_LIMIT, 10]


@pytest.mark.parametrize("compressed", [False, True])
def test_response_that_is_too_large_is_not_read(
    stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1 << 20)
    body = json.dumps(task(1, text="x" * (2 << 20))).encode()
    content, headers = (gzip.compress(body), {"Content-Encoding": "gzip"}) if compressed else (body, {})
    stub_server.respond = lambda method, *_: (200, content, headers) if method == "GET" else (200, task(1), {})
    with ScaleClient(KEY, stub_server.url, retry=FAST_RETRY, connections=1) as client:
        with pytest.raises(ResponseTooLarge, match="the response is larger than 1 MiB") as caught:
            client.get_task("a")
        assert caught.value.outcome_unknown
        assert client.create_task("annotation", {}).task_id == task(1)["task_id"]
    assert len(stub_server.requests) == 2, "it is not repeated"
