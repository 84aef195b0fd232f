"""The client over real sockets: requests, retries, parsing of responses, paging."""

from __future__ import annotations

import base64
import json
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import (
    ConnectError,
    Duplicate,
    InvalidRequest,
    InvalidResponse,
    NotFound,
    RateLimited,
    ResponseLost,
    ScaleError,
    ServerError,
    Unauthorized,
)
from labelflow.scale.retry import RetryPolicy, retry_after_seconds
from tests.conftest import StubServer

KEY = "test_5d3c1f"
FAST_RETRY = RetryPolicy(attempts=4, initial_delay=0.001, max_delay=0.002)


def task(number: int, **fields: Any) -> dict[str, Any]:
    return {"task_id": f"{number:024x}", "type": "annotation", "status": "pending", **fields}


@pytest.fixture
def client(stub_server: StubServer) -> ScaleClient:
    return ScaleClient(KEY, stub_server.url + "/v1", retry=FAST_RETRY, timeout=(2.0, 1.0))


def test_key_is_sent_as_user_name_and_body_as_json(stub_server: StubServer, client: ScaleClient) -> None:
    stub_server.respond = lambda *_: (200, task(1, created_at="2026-11-23T10:00:00.250Z"), {})
    created = client.create_task("annotation", {"attachment": "https://x.example/ü.jpg"})
    method, path, body, headers = stub_server.requests[0]
    assert (method, path) == ("POST", "/v1/task/annotation")
    assert json.loads(body) == {"attachment": "https://x.example/ü.jpg"}
    assert headers["Authorization"] == "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
    assert created.created_at is not None
    assert created.created_at.isoformat() == "2026-11-23T10:00:00.250000+00:00"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidRequest), (401, Unauthorized), (404, NotFound), (409, Duplicate)]
)
def test_final_response_is_not_retried(
    stub_server: StubServer, client: ScaleClient, status: int, kind: type[Exception]
) -> None:
    stub_server.respond = lambda *_: (status, {"status_code": status, "error": "because"}, {})
    with pytest.raises(kind, match="because"):
        client.get_task("a")
    assert len(stub_server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504, 529])
def test_transient_error_is_retried(stub_server: StubServer, client: ScaleClient, status: int) -> None:
    stub_server.respond = lambda *_: (status, b"oops", {}) if len(stub_server.requests) < 3 else (200, task(7), {})
    assert client.get_task("a").task_id == f"{7:024x}"
    assert len(stub_server.requests) == 3


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (500, ServerError)])
def test_client_gives_up_after_max_attempts(
    stub_server: StubServer, client: ScaleClient, status: int, kind: type[Exception]
) -> None:
    stub_server.respond = lambda *_: (status, {"error": "later"}, {})
    with pytest.raises(kind, match="later"):
        client.get_task("a")
    assert len(stub_server.requests) == FAST_RETRY.attempts


def test_retry_after_is_honored(stub_server: StubServer) -> None:
    delays: list[float] = []
    client = ScaleClient(KEY, stub_server.url, retry=FAST_RETRY, sleep=delays.append)
    stub_server.respond = lambda *_: (
        (429, {}, {"Retry-After": "17"}) if len(stub_server.requests) == 1 else (200, task(1), {})
    )
    client.get_task("a")
    assert delays == [17.0]


def test_broken_connection_is_retried_after_recovery(stub_server: StubServer, client: ScaleClient) -> None:
    stub_server.respond = lambda *_: None if len(stub_server.requests) == 1 else (200, task(2), {})
    recoveries: list[int] = []
    assert client.create_task("annotation", {}, lambda: recoveries.append(1)).task_id == f"{2:024x}"
    assert recoveries == [1]


def test_recovered_task_replaces_the_lost_response(stub_server: StubServer, client: ScaleClient) -> None:
    from labelflow.scale.models import Task

    stub_server.respond = lambda *_: (500, {}, {})
    recovered = Task.parse(task(9))
    assert client.create_task("annotation", {}, lambda: recovered) is recovered
    assert len(stub_server.requests) == 1


def test_recovery_is_not_attempted_when_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = ScaleClient(KEY, f"http://127.0.0.1:{port}", retry=FAST_RETRY)
    with pytest.raises(ConnectError, match=f"127.0.0.1:{port}") as caught:
        client.create_task("annotation", {}, lambda: pytest.fail("nothing was sent"))
    assert KEY not in str(caught.value)


def test_hanging_response_times_out(stub_server: StubServer) -> None:
    hang = threading.Event()

    def answer(*_: object) -> None:
        hang.wait(5)

    stub_server.respond = answer
    client = ScaleClient(KEY, stub_server.url, retry=RetryPolicy(attempts=1), timeout=(1.0, 0.2))
    with pytest.raises(ResponseLost):
        client.get_task("a")
    hang.set()


@pytest.mark.parametrize("content", [b"[]", b'{"type": "annotation"}', b'{"task_id": "a"}'])
def test_invalid_response_is_reported(stub_server: StubServer, client: ScaleClient, content: bytes) -> None:
    stub_server.respond = lambda *_: (200, content, {})
    with pytest.raises(InvalidResponse):
        client.get_task("a")


@pytest.mark.parametrize("by_token", [True, False])
def test_paging_by_token_and_by_offset(stub_server: StubServer, client: ScaleClient, by_token: bool) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        page = len(stub_server.requests)
        token = {"next_token": f"t{page}"} if by_token and page < 3 else {}
        return 200, {"docs": [task(page * 10), task(page * 10 + 1)], "total": 6, "has_more": page < 3, **token}, {}

    stub_server.respond = answer
    assert len({listed.task_id for listed in client.list_tasks(status="completed")}) == 6
    paths = [path for _, path, _, _ in stub_server.requests]
    assert all("status=completed" in path and "limit=100" in path for path in paths)
    assert ("next_token=t2" if by_token else "offset=4") in paths[2]


def test_total_is_used_without_has_more(stub_server: StubServer, client: ScaleClient) -> None:
    stub_server.respond = lambda *_: (200, {"docs": [task(len(stub_server.requests))], "total": 3}, {})
    assert len(list(client.list_tasks())) == 3


def test_server_ignoring_the_offset_does_not_cause_endless_paging(stub_server: StubServer, client: ScaleClient) -> None:
    stub_server.respond = lambda *_: (200, {"docs": [task(1)], "total": 5, "has_more": True}, {})
    with pytest.raises(InvalidResponse, match="same page"):
        list(client.list_tasks())


@pytest.mark.parametrize(("status", "message"), [(302, "unexpected redirect"), (413, "HTTP 413")])
def test_other_client_errors_are_final(stub_server: StubServer, client: ScaleClient, status: int, message: str) -> None:
    stub_server.respond = lambda *_: (status, b"", {})
    with pytest.raises(ScaleError, match=message) as caught:
        client.get_task("a")
    assert not caught.value.retryable
    assert not caught.value.outcome_unknown


def test_empty_page_with_has_more_ends_the_listing(stub_server: StubServer, client: ScaleClient) -> None:
    stub_server.respond = lambda *_: (200, {"docs": [], "has_more": True}, {})
    with pytest.raises(InvalidResponse, match="`has_more` is true but the page is empty"):
        list(client.list_tasks())


def test_server_ignoring_unique_id_gives_no_match(stub_server: StubServer, client: ScaleClient) -> None:
    docs = [task(1, unique_id="other"), task(2, unique_id="mine"), task(3)]
    stub_server.respond = lambda *_: (200, {"docs": docs, "has_more": False}, {})
    assert [match.task_id for match in client.find_by_unique_id(["mine"])] == [f"{2:024x}"]


def test_connections_are_shared_by_threads(stub_server: StubServer) -> None:
    connections: set[str] = set()

    def answer(method: str, path: str, body: bytes) -> Any:
        connections.add(threading.current_thread().name)  # the server has one thread for each connection
        return 200, task(1), {}

    stub_server.respond = answer
    with ScaleClient(KEY, stub_server.url, connections=4) as client, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: client.get_task("a"), range(200)))
    assert len(stub_server.requests) == 200
    assert len(connections) <= 4


def test_key_is_not_in_the_repr(client: ScaleClient) -> None:
    assert KEY not in repr(client)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("17", 17.0),
        ("soon", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_parsed(header: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": header}) == seconds
    assert retry_after_seconds({}) is None


def test_repeated_page_is_an_error(stub_server: StubServer, client: ScaleClient) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        number = len(stub_server.requests) % 3
        return 200, {"docs": [task(number)], "total": 3, "has_more": True, "next_token": str(number)}, {}

    stub_server.respond = answer
    with pytest.raises(InvalidResponse, match="same page was returned twice"):
        list(client.list_tasks())
    assert len(stub_server.requests) == 4


def test_proxy_from_the_environment_is_used(stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", stub_server.url.replace("http://", "http://me:secret@"))
    stub_server.respond = lambda *_: (200, task(1), {})
    with ScaleClient(KEY, "http://scale.invalid/v1", retry=FAST_RETRY) as client:
        client.get_task("a")
    _, path, _, headers = stub_server.requests[0]
    assert path == "http://scale.invalid/v1/task/a"
    assert headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"


def test_request_to_this_machine_uses_no_proxy(stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    stub_server.respond = lambda *_: (200, task(1), {})
    with ScaleClient(KEY, f"{stub_server.url}/v1", retry=FAST_RETRY) as client:
        client.get_task("a")
    assert [path for _, path, _, _ in stub_server.requests] == ["/v1/task/a"]


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:pass5e3c@127.0.0.1:9",
        "http://me:pass5e3c@127.0.0.1:99999",
        "http://me:pass5e3c#x@127.0.0.1:9",
        "http://me:pass5e3c/x@127.0.0.1:9",
        "http://me:pass5e3c@",
        "me:pass5e3c@127.0.0.1:9",
        "ftp://me:pass5e3c@127.0.0.1:9",
        "socks9://me:pass5e3c@127.0.0.1:9",
    ],
)
def test_error_of_a_proxy_does_not_show_its_password(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    def send() -> None:
        with ScaleClient(KEY, "https://scale.invalid/v1", retry=RetryPolicy(attempts=1)) as client:
            client.get_task("a")

    with pytest.raises(ScaleError) as caught:
        send()
    assert "pass5e3c" not in "".join(traceback.format_exception(caught.value))
