"""Each fault of the sandbox, seen over real sockets."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.requests import REQUEST_KINDS
from labelflow.sandbox.server import make_server
from labelflow.sandbox.settings.fault_spec import parse
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.testing import listening_url, running, start, stop
from tests.support.media_server import MediaServer
from tests.support.sandbox_client import Caller, Receiver, text_request, until

CREATION = "/task/categorization"
ALL_AT_ONCE = ", ".join(f"{kind.name}=5%" + (":0.01s" if kind.seconds else "") for kind in REQUEST_KINDS)
TROUBLE = "500-before 503-before 500-after 503-after"


class Served(threading.Thread):
    """A sandbox that starts faster than a process. What it logs goes to a file."""

    def __init__(self, listener: socket.socket, options: Options, log: Path) -> None:
        super().__init__(daemon=True)
        self._listener, self._options = listener, options
        self._handler = logging.FileHandler(log)
        self._ready = threading.Event()

    def run(self) -> None:
        store = Store(self._options)
        self._server = make_server(store, self._options)
        for name in ("uvicorn", "sandbox", "asyncio"):
            logging.getLogger(name).addHandler(self._handler)
        self._ready.set()
        self._server.run(sockets=[self._listener])
        store.close()

    def stop(self) -> None:
        assert self._ready.wait(10)
        self._server.should_exit = True
        self.join(10)
        for name in ("uvicorn", "sandbox", "asyncio"):
            logging.getLogger(name).removeHandler(self._handler)
        self._handler.close()
        assert not self.is_alive()


class Faulty(Caller):
    """Calls a sandbox with faults."""

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = requests.get(self.url.replace("/v1", "/sandbox/faults"), timeout=10).json()
        return counts


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@contextmanager
def faulty(log: Path, faults: str, db: Path | None = None) -> Iterator[Faulty]:
    """A caller of a sandbox with such faults, which runs in a thread, and must find nothing to complain about."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    options = Options(url, db, default_callback=f"{url}/callback-sink", faults=parse(faults))
    served = Served(listener, options, log)
    served.start()
    try:
        yield Faulty(f"{url}/v1")
    finally:
        served.stop()
    assert log.read_text() == ""


def listing_on_a_socket(caller: Caller) -> socket.socket:
    """A connection on which `GET /tasks` was asked for."""
    connection = socket.create_connection(("127.0.0.1", urlsplit(caller.url).port or 0), timeout=10)
    connection.sendall(b"GET /v1/tasks HTTP/1.1\r\nHost: sandbox\r\n\r\n")
    return connection


def created(db: Path) -> int:
    """How many tasks a sandbox that has ended had created."""
    with closing(sqlite3.connect(db)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM tasks").fetchone()
        return int(count)


def test_a_reset_comes_before_anything_is_created(tmp_path: Path, log: Path) -> None:
    with faulty(log, "reset=100%", db=tmp_path / "db") as caller:
        with pytest.raises(requests.ConnectionError):
            caller.text()
        with listing_on_a_socket(caller) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert caller.counts() == {"reset": 2}
    assert created(tmp_path / "db") == 0


def test_a_dropped_connection_leaves_a_task(log: Path) -> None:
    with faulty(log, "dropped=100%") as caller:
        with pytest.raises(requests.ConnectionError, match="without response"):
            caller.create("categorization", text_request() | {"unique_id": "row/1"})
        assert [task["unique_id"] for task in caller.ok("GET", "/tasks")["docs"]] == ["row/1"]
        assert caller.counts() == {"dropped": 1}


@pytest.mark.parametrize("name", TROUBLE.split())
def test_trouble_before_and_after_the_creation(name: str, tmp_path: Path, log: Path) -> None:
    status, _, when = name.partition("-")
    with faulty(log, f"{name}=100%", db=tmp_path / "db") as caller:
        caller.refused(int(status), "POST", CREATION, json=text_request())
        assert caller.counts() == {name: 1}
        if when == "before":
            caller.refused(int(status), "GET", "/tasks")
        else:
            caller.ok("GET", "/tasks")
    assert created(tmp_path / "db") == (when == "after")


def test_too_many_requests_with_and_without_a_time(log: Path) -> None:
    with faulty(log, "429=50%, 429-wait=50%:1.2s") as caller:
        answers = [caller.call("POST", CREATION, json=text_request()) for _ in range(40)]
        assert {answer.status_code for answer in answers} == {429}
        assert answers[0].json() == {"status_code": 429, "error": "Too many requests."}
        waits = Counter(answer.headers.get("Retry-After") for answer in answers)
        assert waits.keys() == {None, "2"}
        assert caller.counts() == {"429": waits[None], "429-wait": waits["2"]}


def test_a_slow_answer_is_a_good_one_and_holds_up_no_other(log: Path) -> None:
    with faulty(log, "slow=100%:0.4s") as caller:
        began = time.monotonic()
        task = caller.text()
        assert time.monotonic() - began >= 0.4
        began = time.monotonic()
        caller.counts()
        assert time.monotonic() - began < 0.3
        assert caller.get(task["task_id"])["task_id"] == task["task_id"]


def test_an_answer_that_never_comes_holds_up_no_end(tmp_path: Path, log: Path) -> None:
    with faulty(log, "never=100%", db=tmp_path / "db") as caller:
        with pytest.raises(requests.ReadTimeout):
            requests.post(caller.url + CREATION, json=text_request(), auth=(caller.key, ""), timeout=0.3)
        connection = listing_on_a_socket(caller)
        until(lambda: caller.counts() == {"never": 2})
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        began = time.monotonic()
    assert time.monotonic() - began < 1.5
    with connection:
        assert connection.recv(1) == b""
    assert created(tmp_path / "db") == 1


def test_broken_json_is_cut_off_within_sound_http(log: Path) -> None:
    with faulty(log, "broken-json=50%, seed=3") as caller:
        answers = [caller.call("POST", CREATION, json=text_request(str(number))) for number in range(30)]
        broken = [answer for answer in answers if not is_json(answer.text)]
        assert {answer.status_code for answer in answers} == {200}
        assert all(answer.text.startswith('{"task_id":') for answer in broken)
        assert caller.counts() == {"broken-json": len(broken)}
        assert 5 <= len(broken) <= 25


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_a_lagging_list_knows_a_task_later_than_its_own_address_does(log: Path) -> None:
    with faulty(log, "lag=0.6s") as caller:
        assert caller.listed() == []
        assert caller.counts() == {"lag": 0}
        task = caller.text(unique_id="row/1")
        assert caller.get(task["task_id"])["unique_id"] == "row/1"
        caller.refused(409, "POST", CREATION, json=text_request() | {"unique_id": "row/1"})
        assert caller.ok("GET", "/tasks", params={"unique_id": "row/1"})["total"] == 0
        assert caller.counts() == {"lag": 1}
        began = time.monotonic()
        until(lambda: caller.listed(unique_id="row/1") == [task["task_id"]])
        assert 0.3 < time.monotonic() - began < 2
        count = caller.counts()
        assert caller.ok("GET", "/tasks")["total"] == 1
        assert caller.counts() == count


def statuses(caller: Caller, count: int) -> list[str]:
    tasks = [caller.text(f"message {number}", metadata={"row_id": number}) for number in range(count)]
    return [caller.done(task)["status"] for task in tasks]


def test_the_same_tasks_end_in_error_in_every_run_and_others_with_another_seed(log: Path) -> None:
    runs = []
    for seed in (7, 7, 8):
        with faulty(log, f"error=30%, seed={seed}") as caller:
            runs.append(statuses(caller, 60))
            assert caller.counts() == {"error": runs[-1].count("error")}
    assert runs[0] == runs[1] != runs[2]
    assert 8 <= runs[0].count("error") <= 28


def test_a_task_in_error_frees_its_unique_id_where_that_was_wished(log: Path, receiver: Receiver) -> None:
    with faulty(log, "error=100%") as caller:
        path = f"/{uuid4().hex}"
        wished: dict[str, Any] = {
            "unique_id": "row/1",
            "clear_unique_id_on_error": True,
            "callback_url": receiver.url + path,
        }
        task = caller.done(caller.text(**wished))
        assert task["status"] == "error"
        assert task["response"] == {"error": "The task could not be done."}
        assert caller.text(**wished)["task_id"] != task["task_id"]
        (first, _) = until(lambda: len(receiver.on(path)) == 2 and receiver.on(path))
        assert first["response"] == task["response"]


def test_an_attachment_dies_after_the_check(log: Path, media: MediaServer, receiver: Receiver) -> None:
    attachment = f"{media.url}/small.png"
    path = f"/{uuid4().hex}"
    with faulty(log, "dead-attachment=100%") as caller:
        request = {"attachment": attachment, "objects_to_annotate": ["car"], "callback_url": receiver.url + path}
        task = caller.done(caller.create("annotation", request))
        assert task["status"] == "error"
        assert task["response"]["attachments"] == [{"statusCode": 404, "url": attachment}]
        (body,) = until(lambda: receiver.on(path))
        assert body["error"] == "One or more attachments could not be downloaded."
        assert caller.done(caller.text())["status"] == "completed"
        assert caller.counts() == {"dead-attachment": 1}


def test_a_recalled_task_is_pending_again_and_then_has_another_answer(log: Path, receiver: Receiver) -> None:
    path = f"/{uuid4().hex}"
    with faulty(log, "recall=100%:0.3s") as caller:
        first = caller.done(caller.text(callback_url=receiver.url + path))
        again = until(lambda: pending(caller, first))
        assert not {"response", "completed_at", "callback_succeeded"} & again.keys()
        second = caller.done(first)
        assert second["response"] != first["response"]
        assert second["completed_at"] > first["completed_at"]
        bodies = until(lambda: len(receiver.on(path)) == 2 and receiver.on(path))
        assert [body["response"] for body in bodies] == [first["response"], second["response"]]
        time.sleep(0.7)
        assert caller.get(first["task_id"])["response"] == second["response"]
        assert caller.counts() == {"recall": 1}


def pending(caller: Caller, task: dict[str, Any]) -> dict[str, Any] | None:
    now = caller.get(task["task_id"])
    return now if now["status"] == "pending" else None


def test_recalls_outlive_kill_9(tmp_path: Path, log: Path) -> None:
    options = {"db": tmp_path / "db", "faults": "recall=100%:0.5s"}
    process = start(log=log, **options)
    caller = Caller(listening_url(process))
    first = caller.done(caller.text())
    process.kill()
    stop(process)
    process = start(log=log, **options)
    caller.url = listening_url(process)
    until(lambda: pending(caller, first))
    process.kill()
    stop(process)
    with running(log=log, **options) as url:
        caller.url = url
        assert caller.done(first)["response"] != first["response"]


def test_a_callback_comes_twice(log: Path, receiver: Receiver) -> None:
    path = f"/{uuid4().hex}"
    with faulty(log, "duplicate-callback=100%:0.2s") as caller:
        caller.text(callback_url=receiver.url + path)
        first, second = until(lambda: len(receiver.on(path)) == 2 and receiver.on(path))
        assert first == second
        assert caller.counts() == {"duplicate-callback": 1}


def test_a_late_callback_holds_up_nothing_else(log: Path, receiver: Receiver) -> None:
    path = f"/{uuid4().hex}"
    with faulty(log, "late-callback=100%:0.5s") as caller:
        began = time.monotonic()
        for number in range(80):
            caller.done(caller.text(str(number), callback_url=receiver.url + path))
        until(lambda: len(receiver.on(path)) == 80)
        came = [at - began for seen, _, _, at in receiver.seen if seen == path]
        assert min(came) >= 0.5
        assert time.monotonic() - began < 4
        assert caller.counts() == {"late-callback": 80}


def test_callbacks_overtake_each_other(log: Path, receiver: Receiver) -> None:
    path = f"/{uuid4().hex}"
    with faulty(log, "order=30%:0.4s, seed=1") as caller:
        tasks = []
        for number in range(20):
            tasks.append(caller.text(str(number), callback_url=receiver.url + path)["task_id"])
            time.sleep(0.02)
        bodies = until(lambda: len(receiver.on(path)) == 20 and receiver.on(path))
        came = [body["task_id"] for body in bodies]
        assert sorted(came) == sorted(tasks)
        overtaken = sum(one > two for one, two in pairwise(came))
        assert 1 <= overtaken <= caller.counts()["order"]


def test_an_only_callback_comes_although_none_overtakes_it(log: Path, receiver: Receiver) -> None:
    path = f"/{uuid4().hex}"
    with faulty(log, "order=100%:0.3s") as caller:
        caller.text(callback_url=receiver.url + path)
        assert until(lambda: receiver.on(path))


def outcome(session: requests.Session, url: str) -> str:
    """What a client sees of one creation."""
    try:
        answer = session.post(url + CREATION, json=text_request(), timeout=0.2)
    except requests.RequestException as error:
        return type(error).__name__
    return f"{answer.status_code}{'' if is_json(answer.text) else ' broken'}"


def outcomes(caller: Faulty, count: int) -> list[str]:
    with requests.Session() as session:
        session.auth = (caller.key, "")
        return [outcome(session, caller.url) for _ in range(count)]


def test_all_at_once_come_at_their_rates_and_the_same_way_with_the_same_seed(log: Path) -> None:
    rates = ALL_AT_ONCE.replace("never=5%", "never=1%")
    runs, counts = [], []
    for _ in range(2):
        with faulty(log, f"seed=11, {rates}") as caller:
            runs.append(outcomes(caller, 300))
            counts.append(caller.counts())
    assert runs[0] == runs[1]
    assert counts[0] == counts[1]
    assert 1 <= counts[0].pop("never") <= 9
    assert len(counts[0]) == 10
    assert all(5 <= count <= 30 for count in counts[0].values()), counts[0]
    seen = Counter(runs[0])
    assert seen["500"] == counts[0]["500-before"] + counts[0]["500-after"]
    assert seen["503"] == counts[0]["503-before"] + counts[0]["503-after"]
    assert seen["429"] == counts[0]["429"] + counts[0]["429-wait"]
    assert seen["ConnectionError"] == counts[0]["reset"] + counts[0]["dropped"]
    assert seen["200 broken"] == counts[0]["broken-json"]


def test_without_faults_there_is_nothing_to_count(url: str) -> None:
    assert requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).status_code == 404
