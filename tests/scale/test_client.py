"""The client over real sockets: what it sends, what it retries, what it makes of answers."""

from __future__ import annotations

import base64
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import (
    AnswerLost,
    Duplicate,
    InvalidRequest,
    NotFound,
    NotSent,
    RateLimited,
    ScaleError,
    ServerTrouble,
    Unauthorized,
    UnexpectedAnswer,
)
from labelflow.scale.retry import RetryPolicy, retry_after_seconds
from tests.conftest import Scripted

KEY = "test_5d3c1f"
FAST = RetryPolicy(attempts=4, first_pause=0.001, longest_pause=0.002)


def task(number: int, **more: Any) -> dict[str, Any]:
    return {"task_id": f"{number:024x}", "type": "annotation", "status": "pending", **more}


@pytest.fixture
def client(scripted: Scripted) -> ScaleClient:
    return ScaleClient(KEY, scripted.url + "/v1", retry=FAST, timeout=(2.0, 1.0))


def test_it_sends_the_key_as_user_name_and_the_body_as_json(scripted: Scripted, client: ScaleClient) -> None:
    scripted.answer = lambda *_: (200, task(1, created_at="2026-11-23T10:00:00.250Z"), {})
    created = client.create_task("annotation", {"attachment": "https://x.example/ü.jpg"})
    method, path, body, headers = scripted.requests[0]
    assert (method, path) == ("POST", "/v1/task/annotation")
    assert json.loads(body) == {"attachment": "https://x.example/ü.jpg"}
    assert headers["Authorization"] == "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
    assert created.created_at is not None
    assert created.created_at.isoformat() == "2026-11-23T10:00:00.250000+00:00"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidRequest), (401, Unauthorized), (404, NotFound), (409, Duplicate)]
)
def test_a_final_answer_is_not_asked_for_again(
    scripted: Scripted, client: ScaleClient, status: int, kind: type[Exception]
) -> None:
    scripted.answer = lambda *_: (status, {"status_code": status, "error": "because"}, {})
    with pytest.raises(kind, match="because"):
        client.get_task("a")
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504, 529])
def test_passing_trouble_is_tried_again(scripted: Scripted, client: ScaleClient, status: int) -> None:
    scripted.answer = lambda *_: (status, b"oops", {}) if len(scripted.requests) < 3 else (200, task(7), {})
    assert client.get_task("a").task_id == f"{7:024x}"
    assert len(scripted.requests) == 3


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (500, ServerTrouble)])
def test_it_gives_up_after_the_attempts(
    scripted: Scripted, client: ScaleClient, status: int, kind: type[Exception]
) -> None:
    scripted.answer = lambda *_: (status, {"error": "later"}, {})
    with pytest.raises(kind, match="later"):
        client.get_task("a")
    assert len(scripted.requests) == FAST.attempts


def test_it_waits_as_long_as_the_server_asks(scripted: Scripted) -> None:
    pauses: list[float] = []
    client = ScaleClient(KEY, scripted.url, retry=FAST, pause=pauses.append)
    scripted.answer = lambda *_: (429, {}, {"Retry-After": "17"}) if len(scripted.requests) == 1 else (200, task(1), {})
    client.get_task("a")
    assert pauses == [17.0]


def test_a_broken_connection_is_tried_again_and_settled_first(scripted: Scripted, client: ScaleClient) -> None:
    scripted.answer = lambda *_: None if len(scripted.requests) == 1 else (200, task(2), {})
    asked: list[int] = []
    assert client.create_task("annotation", {}, lambda: asked.append(1)).task_id == f"{2:024x}"
    assert asked == [1]


def test_what_was_settled_stands_for_the_lost_answer(scripted: Scripted, client: ScaleClient) -> None:
    from labelflow.scale.models import Task

    scripted.answer = lambda *_: (500, {}, {})
    found = Task.parse(task(9))
    assert client.create_task("annotation", {}, lambda: found) is found
    assert len(scripted.requests) == 1


def test_nothing_is_settled_where_nothing_was_asked(client: ScaleClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lost = ScaleClient(KEY, f"http://127.0.0.1:{port}", retry=FAST)
    with pytest.raises(NotSent, match=f"127.0.0.1:{port}") as caught:
        lost.create_task("annotation", {}, lambda: pytest.fail("nothing was sent"))
    assert KEY not in str(caught.value)


def test_an_answer_that_never_comes_is_not_waited_for(scripted: Scripted) -> None:
    hang = threading.Event()

    def answer(*_: object) -> None:
        hang.wait(5)

    scripted.answer = answer
    client = ScaleClient(KEY, scripted.url, retry=RetryPolicy(attempts=1), timeout=(1.0, 0.2))
    with pytest.raises(AnswerLost):
        client.get_task("a")
    hang.set()


@pytest.mark.parametrize("content", [b"[]", b'{"type": "annotation"}', b'{"task_id": "a"}'])
def test_an_answer_of_another_shape_is_named(scripted: Scripted, client: ScaleClient, content: bytes) -> None:
    scripted.answer = lambda *_: (200, content, {})
    with pytest.raises(UnexpectedAnswer):
        client.get_task("a")


@pytest.mark.parametrize("by_token", [True, False])
def test_pages_are_followed_by_token_and_by_offset(scripted: Scripted, client: ScaleClient, by_token: bool) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        page = len(scripted.requests)
        token = {"next_token": f"t{page}"} if by_token and page < 3 else {}
        return 200, {"docs": [task(page * 10), task(page * 10 + 1)], "total": 6, "has_more": page < 3, **token}, {}

    scripted.answer = answer
    assert len({found.task_id for found in client.list_tasks(status="completed")}) == 6
    paths = [path for _, path, _, _ in scripted.requests]
    assert all("status=completed" in path and "limit=100" in path for path in paths)
    assert ("next_token=t2" if by_token else "offset=4") in paths[2]


def test_where_no_has_more_is_given_the_total_tells(scripted: Scripted, client: ScaleClient) -> None:
    scripted.answer = lambda *_: (200, {"docs": [task(len(scripted.requests))], "total": 3}, {})
    assert len(list(client.list_tasks())) == 3


def test_a_server_that_ignores_the_offset_is_not_asked_for_ever(scripted: Scripted, client: ScaleClient) -> None:
    scripted.answer = lambda *_: (200, {"docs": [task(1)], "total": 5, "has_more": True}, {})
    with pytest.raises(UnexpectedAnswer, match="same page"):
        list(client.list_tasks())


@pytest.mark.parametrize(("status", "words"), [(302, "leads elsewhere"), (413, "HTTP 413")])
def test_other_refusals_are_final(scripted: Scripted, client: ScaleClient, status: int, words: str) -> None:
    scripted.answer = lambda *_: (status, b"", {})
    with pytest.raises(ScaleError, match=words) as caught:
        client.get_task("a")
    assert not caught.value.retriable
    assert not caught.value.maybe_done


def test_a_page_that_promises_more_and_gives_none_ends_the_listing(scripted: Scripted, client: ScaleClient) -> None:
    scripted.answer = lambda *_: (200, {"docs": [], "has_more": True}, {})
    with pytest.raises(UnexpectedAnswer):
        list(client.list_tasks())


def test_a_server_that_ignores_unique_id_gives_no_match(scripted: Scripted, client: ScaleClient) -> None:
    docs = [task(1, unique_id="other"), task(2, unique_id="mine"), task(3)]
    scripted.answer = lambda *_: (200, {"docs": docs, "has_more": False}, {})
    assert [found.task_id for found in client.find_by_unique_id(["mine"])] == [f"{2:024x}"]


def test_many_threads_share_its_connections(scripted: Scripted) -> None:
    connections: set[str] = set()

    def answer(method: str, path: str, body: bytes) -> Any:
        connections.add(threading.current_thread().name)  # the server has one thread for each
        return 200, task(1), {}

    scripted.answer = answer
    with ScaleClient(KEY, scripted.url, connections=4) as client, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: client.get_task("a"), range(200)))
    assert len(scripted.requests) == 200
    assert len(connections) <= 4


def test_the_key_is_not_in_its_repr(client: ScaleClient) -> None:
    assert KEY not in repr(client)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("17", 17.0),
        ("soon", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_what_retry_after_says(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_pages_that_come_round_again_end_with_an_error(scripted: Scripted, client: ScaleClient) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        number = len(scripted.requests) % 3
        return 200, {"docs": [task(number)], "total": 3, "has_more": True, "next_token": str(number)}, {}

    scripted.answer = answer
    with pytest.raises(UnexpectedAnswer, match="again and again"):
        list(client.list_tasks())
    assert len(scripted.requests) == 4


def test_it_goes_through_the_proxy_that_the_environment_names(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", scripted.url.replace("http://", "http://me:secret@"))
    scripted.answer = lambda *_: (200, task(1), {})
    with ScaleClient(KEY, "http://scale.invalid/v1", retry=FAST) as client:
        client.get_task("a")
    _, path, _, headers = scripted.requests[0]
    assert path == "http://scale.invalid/v1/task/a"
    assert headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"
