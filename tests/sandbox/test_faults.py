"""Each fault of the sandbox, over real sockets."""

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
from labelflow.sandbox.faults.requests.kinds import REQUEST_FAULT_KINDS
from labelflow.sandbox.server import make_server
from labelflow.sandbox.settings.fault_spec import parse
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.testing import listening_url, running, start, stop
from tests.support.media_server import MediaServer
from tests.support.sandbox_client import ApiClient, CallbackRecorder, text_request, wait_until

CREATION = "/task/categorization"
ALL_REQUEST_FAULTS = ", ".join(f"{kind.name}=5%" + (":0.01s" if kind.seconds else "") for kind in REQUEST_FAULT_KINDS)
SERVER_ERRORS = "500-before 503-before 500-after 503-after"


class SandboxThread(threading.Thread):
    """A sandbox in a thread, which starts faster than a process. Its log goes to a file."""

    def __init__(self, listener: socket.socket, options: Options, log: Path) -> None:
        super().__init__(daemon=True)
        self._listener, self._options = listener, options
        self._handler = logging.FileHandler(log)
        self._ready = threading.Event()

    def run(self) -> None:
        store = Store(self._options)
        self._server = make_server(store, self._options)
        for name in ("uvicorn", "labelflow.sandbox", "asyncio"):
            logging.getLogger(name).addHandler(self._handler)
        self._ready.set()
        self._server.run(sockets=[self._listener])
        store.close()

    def stop(self) -> None:
        assert self._ready.wait(10)
        self._server.should_exit = True
        self.join(10)
        for name in ("uvicorn", "labelflow.sandbox", "asyncio"):
            logging.getLogger(name).removeHandler(self._handler)
        self._handler.close()
        assert not self.is_alive()


class FaultyApiClient(ApiClient):
    """Client of a sandbox with faults."""

    def fault_counts(self) -> dict[str, int]:
        counts: dict[str, int] = requests.get(self.url.replace("/v1", "/sandbox/faults"), timeout=10).json()
        return counts


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@contextmanager
def running_faulty_sandbox(log: Path, faults: str, db: Path | None = None) -> Iterator[FaultyApiClient]:
    """Run a sandbox with faults in a thread; yields a client. Fails if the sandbox logs anything."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    options = Options(url, db, default_callback=f"{url}/callback-sink", faults=parse(faults))
    sandbox = SandboxThread(listener, options, log)
    sandbox.start()
    try:
        yield FaultyApiClient(f"{url}/v1")
    finally:
        sandbox.stop()
    assert log.read_text() == ""


def test_retry_of_a_request_without_a_response_is_refused_once(log: Path) -> None:
    with running_faulty_sandbox(log, "refused-retry=50%") as client, requests.Session() as session:
        session.auth = (client.key, "")
        outcomes = [request_outcome(session, client.url) for _ in range(20)]
        assert client.fault_counts()["refused-retry"] == outcomes.count("ConnectionError")
    is_refused = False  # whether the next attempt that gets a response is refused
    for outcome in outcomes:
        if outcome != "ConnectionError":
            assert outcome == ("400" if is_refused else "200")
        is_refused = outcome == "ConnectionError"
    assert {"400", "200"} <= set(outcomes)


def test_large_answer_has_a_field_of_200_kb(log: Path) -> None:
    with running_faulty_sandbox(log, "large-answer=100%") as client:
        response = client.wait_until_done(client.create_text_task())["response"]
        assert len(response["padding"]) == 200_000
        assert "category" in response
        assert client.fault_counts() == {"large-answer": 1}


def open_listing_socket(client: ApiClient) -> socket.socket:
    """Open a connection and send `GET /tasks` on it."""
    connection = socket.create_connection(("127.0.0.1", urlsplit(client.url).port or 0), timeout=10)
    connection.sendall(b"GET /v1/tasks HTTP/1.1\r\nHost: sandbox\r\n\r\n")
    return connection


def count_created(db: Path) -> int:
    """Return the number of tasks in the database of a stopped sandbox."""
    with closing(sqlite3.connect(db)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM tasks").fetchone()
        return int(count)


def test_reset_occurs_before_anything_is_created(tmp_path: Path, log: Path) -> None:
    with running_faulty_sandbox(log, "reset=100%", db=tmp_path / "db") as client:
        with pytest.raises(requests.ConnectionError):
            client.create_text_task()
        with open_listing_socket(client) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert client.fault_counts() == {"reset": 2}
    assert count_created(tmp_path / "db") == 0


def test_dropped_connection_leaves_a_created_task(log: Path) -> None:
    with running_faulty_sandbox(log, "dropped=100%") as client:
        with pytest.raises(requests.ConnectionError, match="without response"):
            client.create("categorization", text_request() | {"unique_id": "row/1"})
        assert [task["unique_id"] for task in client.ok("GET", "/tasks")["docs"]] == ["row/1"]
        assert client.fault_counts() == {"dropped": 1}


@pytest.mark.parametrize("name", SERVER_ERRORS.split())
def test_server_error_before_and_after_the_creation(name: str, tmp_path: Path, log: Path) -> None:
    status, _, when = name.partition("-")
    with running_faulty_sandbox(log, f"{name}=100%", db=tmp_path / "db") as client:
        client.expect_error(int(status), "POST", CREATION, json=text_request())
        assert client.fault_counts() == {name: 1}
        if when == "before":
            client.expect_error(int(status), "GET", "/tasks")
        else:
            client.ok("GET", "/tasks")
    assert count_created(tmp_path / "db") == (when == "after")


def test_429_with_and_without_retry_after(log: Path) -> None:
    with running_faulty_sandbox(log, "429=50%, 429-wait=50%:1.2s") as client:
        responses = [client.request("POST", CREATION, json=text_request()) for _ in range(40)]
        assert {response.status_code for response in responses} == {429}
        assert responses[0].json() == {"status_code": 429, "error": "Too many requests."}
        waits = Counter(response.headers.get("Retry-After") for response in responses)
        assert waits.keys() == {None, "2"}
        assert client.fault_counts() == {"429": waits[None], "429-wait": waits["2"]}


def test_slow_response_is_valid_and_delays_no_other(log: Path) -> None:
    with running_faulty_sandbox(log, "slow=100%:0.4s") as client:
        start_time = time.monotonic()
        task = client.create_text_task()
        assert time.monotonic() - start_time >= 0.4
        start_time = time.monotonic()
        client.fault_counts()
        assert time.monotonic() - start_time < 0.3
        assert client.get(task["task_id"])["task_id"] == task["task_id"]


def test_hanging_response_does_not_delay_shutdown(tmp_path: Path, log: Path) -> None:
    with running_faulty_sandbox(log, "never=100%", db=tmp_path / "db") as client:
        with pytest.raises(requests.ReadTimeout):
            requests.post(client.url + CREATION, json=text_request(), auth=(client.key, ""), timeout=0.3)
        connection = open_listing_socket(client)
        wait_until(lambda: client.fault_counts() == {"never": 2})
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        start_time = time.monotonic()
    assert time.monotonic() - start_time < 1.5
    with connection:
        assert connection.recv(1) == b""
    assert count_created(tmp_path / "db") == 1


def test_broken_json_is_truncated_within_valid_http(log: Path) -> None:
    with running_faulty_sandbox(log, "broken-json=50%, seed=3") as client:
        responses = [client.request("POST", CREATION, json=text_request(str(number))) for number in range(30)]
        broken = [response for response in responses if not is_json(response.text)]
        assert {response.status_code for response in responses} == {200}
        assert all(response.text.startswith('{"task_id":') for response in broken)
        assert client.fault_counts() == {"broken-json": len(broken)}
        assert 5 <= len(broken) <= 25


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_lagging_list_shows_a_task_later_than_its_own_url(log: Path) -> None:
    with running_faulty_sandbox(log, "lag=0.6s") as client:
        assert client.list_task_ids() == []
        assert client.fault_counts() == {"lag": 0}
        task = client.create_text_task(unique_id="row/1")
        assert client.get(task["task_id"])["unique_id"] == "row/1"
        client.expect_error(409, "POST", CREATION, json=text_request() | {"unique_id": "row/1"})
        assert client.ok("GET", "/tasks", params={"unique_id": "row/1"})["total"] == 0
        assert client.fault_counts() == {"lag": 1}
        start_time = time.monotonic()
        wait_until(lambda: client.list_task_ids(unique_id="row/1") == [task["task_id"]])
        assert 0.3 < time.monotonic() - start_time < 2
        count = client.fault_counts()
        assert client.ok("GET", "/tasks")["total"] == 1
        assert client.fault_counts() == count


def final_statuses(client: ApiClient, count: int) -> list[str]:
    tasks = [client.create_text_task(f"message {number}", metadata={"row_id": number}) for number in range(count)]
    return [client.wait_until_done(task)["status"] for task in tasks]


def test_error_tasks_are_reproducible_and_depend_on_the_seed(log: Path) -> None:
    runs = []
    for seed in (7, 7, 8):
        with running_faulty_sandbox(log, f"error=30%, seed={seed}") as client:
            runs.append(final_statuses(client, 60))
            assert client.fault_counts() == {"error": runs[-1].count("error")}
    assert runs[0] == runs[1] != runs[2]
    assert 8 <= runs[0].count("error") <= 28


def test_error_task_frees_its_unique_id_when_requested(log: Path, receiver: CallbackRecorder) -> None:
    with running_faulty_sandbox(log, "error=100%") as client:
        path = f"/{uuid4().hex}"
        request: dict[str, Any] = {
            "unique_id": "row/1",
            "clear_unique_id_on_error": True,
            "callback_url": receiver.url + path,
        }
        task = client.wait_until_done(client.create_text_task(**request))
        assert task["status"] == "error"
        assert task["response"] == {"error": "The task could not be done."}
        assert client.create_text_task(**request)["task_id"] != task["task_id"]
        (first, _) = wait_until(lambda: len(receiver.bodies(path)) == 2 and receiver.bodies(path))
        assert first["response"] == task["response"]


def test_attachment_becomes_unavailable_after_the_check(
    log: Path, media: MediaServer, receiver: CallbackRecorder
) -> None:
    attachment = f"{media.url}/small.png"
    path = f"/{uuid4().hex}"
    with running_faulty_sandbox(log, "dead-attachment=100%") as client:
        request = {"attachment": attachment, "objects_to_annotate": ["car"], "callback_url": receiver.url + path}
        task = client.wait_until_done(client.create("annotation", request))
        assert task["status"] == "error"
        assert task["response"]["attachments"] == [{"statusCode": 404, "url": attachment}]
        (body,) = wait_until(lambda: receiver.bodies(path))
        assert body["error"] == "One or more attachments could not be downloaded."
        assert client.wait_until_done(client.create_text_task())["status"] == "completed"
        assert client.fault_counts() == {"dead-attachment": 1}


def test_recalled_task_is_pending_again_and_then_gets_another_answer(log: Path, receiver: CallbackRecorder) -> None:
    path = f"/{uuid4().hex}"
    with running_faulty_sandbox(log, "recall=100%:0.3s") as client:
        first = client.wait_until_done(client.create_text_task(callback_url=receiver.url + path))
        recalled = wait_until(lambda: get_if_pending(client, first))
        assert not {"response", "completed_at", "callback_succeeded"} & recalled.keys()
        second = client.wait_until_done(first)
        assert second["response"] != first["response"]
        assert second["completed_at"] > first["completed_at"]
        bodies = wait_until(lambda: len(receiver.bodies(path)) == 2 and receiver.bodies(path))
        assert [body["response"] for body in bodies] == [first["response"], second["response"]]
        time.sleep(0.7)
        assert client.get(first["task_id"])["response"] == second["response"]
        assert client.fault_counts() == {"recall": 1}


def get_if_pending(client: ApiClient, task: dict[str, Any]) -> dict[str, Any] | None:
    current = client.get(task["task_id"])
    return current if current["status"] == "pending" else None


def test_recalls_survive_kill_9(tmp_path: Path, log: Path) -> None:
    options = {"db": tmp_path / "db", "faults": "recall=100%:0.5s"}
    process = start(log=log, **options)
    client = ApiClient(listening_url(process))
    first = client.wait_until_done(client.create_text_task())
    process.kill()
    stop(process)
    process = start(log=log, **options)
    client.url = listening_url(process)
    wait_until(lambda: get_if_pending(client, first))
    process.kill()
    stop(process)
    with running(log=log, **options) as url:
        client.url = url
        assert client.wait_until_done(first)["response"] != first["response"]


def test_duplicate_callback(log: Path, receiver: CallbackRecorder) -> None:
    path = f"/{uuid4().hex}"
    with running_faulty_sandbox(log, "duplicate-callback=100%:0.2s") as client:
        client.create_text_task(callback_url=receiver.url + path)
        first, second = wait_until(lambda: len(receiver.bodies(path)) == 2 and receiver.bodies(path))
        assert first == second
        assert client.fault_counts() == {"duplicate-callback": 1}


def test_late_callback_delays_nothing_else(log: Path, receiver: CallbackRecorder) -> None:
    path = f"/{uuid4().hex}"
    with running_faulty_sandbox(log, "late-callback=100%:0.5s") as client:
        start_time = time.monotonic()
        for number in range(80):
            client.wait_until_done(client.create_text_task(str(number), callback_url=receiver.url + path))
        wait_until(lambda: len(receiver.bodies(path)) == 80)
        delays = [received_at - start_time for sent_path, _, _, received_at in receiver.received if sent_path == path]
        assert min(delays) >= 0.5
        assert time.monotonic() - start_time < 4
        assert client.fault_counts() == {"late-callback": 80}


def test_callbacks_are_reordered(log: Path, receiver: CallbackRecorder) -> None:
    path = f"/{uuid4().hex}"
    with running_faulty_sandbox(log, "order=30%:0.4s, seed=1") as client:
        tasks = []
        for number in range(20):
            tasks.append(client.create_text_task(str(number), callback_url=receiver.url + path)["task_id"])
            time.sleep(0.02)
        bodies = wait_until(lambda: len(receiver.bodies(path)) == 20 and receiver.bodies(path))
        received = [body["task_id"] for body in bodies]
        assert sorted(received) == sorted(tasks)
        overtaken = sum(task_id > following for task_id, following in pairwise(received))
        assert 1 <= overtaken <= client.fault_counts()["order"]


def test_single_callback_is_sent_without_another_to_overtake_it(log: Path, receiver: CallbackRecorder) -> None:
    path = f"/{uuid4().hex}"
    with running_faulty_sandbox(log, "order=100%:0.3s") as client:
        client.create_text_task(callback_url=receiver.url + path)
        assert wait_until(lambda: receiver.bodies(path))


def request_outcome(session: requests.Session, url: str) -> str:
    """Create a task; returns the status or the error of the client."""
    try:
        response = session.post(url + CREATION, json=text_request(), timeout=1.5)
    except requests.RequestException as error:
        return type(error).__name__
    return f"{response.status_code}{'' if is_json(response.text) else ' broken'}"


def request_outcomes(client: FaultyApiClient, count: int) -> list[str]:
    with requests.Session() as session:
        session.auth = (client.key, "")
        return [request_outcome(session, client.url) for _ in range(count)]


def test_combined_faults_match_their_rates_and_are_reproducible_by_seed(log: Path) -> None:
    rates = ALL_REQUEST_FAULTS.replace("never=5%", "never=1%")
    runs, counts = [], []
    for _ in range(2):
        with running_faulty_sandbox(log, f"seed=11, {rates}") as client:
            runs.append(request_outcomes(client, 300))
            counts.append(client.fault_counts())
    assert runs[0] == runs[1]
    assert counts[0] == counts[1]
    assert 1 <= counts[0].pop("never") <= 9
    assert len(counts[0]) == 11
    assert all(5 <= count <= 30 for count in counts[0].values()), counts[0]
    outcomes = Counter(runs[0])
    assert outcomes["500"] == counts[0]["500-before"] + counts[0]["500-after"]
    assert outcomes["503"] == counts[0]["503-before"] + counts[0]["503-after"]
    assert outcomes["429"] == counts[0]["429"] + counts[0]["429-wait"]
    assert outcomes["ConnectionError"] == counts[0]["reset"] + counts[0]["dropped"] + counts[0]["refused-retry"]
    assert outcomes["200 broken"] + outcomes["400 broken"] == counts[0]["broken-json"]  # all requests have one body
    assert outcomes["400"] + outcomes["400 broken"] > 0


def test_without_faults_there_is_nothing_to_count(url: str) -> None:
    assert requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).status_code == 404
