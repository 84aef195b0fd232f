"""Callbacks: what is taken and what is refused, and how answers that come twice, late or anew end up in the files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from labelflow.callbacks import inbox, receiver
from labelflow.callbacks import server as callback_server
from labelflow.callbacks.callback import CALLBACKS, UNROUTED, InvalidCallback, append, parse_callback, read_stored
from labelflow.callbacks.receiver import CallbackReceiver
from labelflow.callbacks.server import CallbackServer
from labelflow.collection.collector import Collector
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import StorageError, UsageError
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.ledger import Ledger
from labelflow.records import Submission
from labelflow.scale.client import ScaleClient
from labelflow.storage.folder import LocalFolder, open_folder
from tests.support.jobs import make_job
from tests.support.s3_servers import Bucket

KEY = "the-callback-auth-key"
SOURCE = pa.struct([("id", pa.string())])


def task_id(number: int) -> str:
    return f"{number:024x}"


def answer(number: int, response: Any = None, minute: int = 0, job: str = "job", **task: Any) -> dict[str, Any]:
    """A callback, about a task that was completed so many minutes after noon."""
    response = {"category": "a"} if response is None else response
    inner = {
        "task_id": task_id(number),
        "type": "categorization",
        "status": "completed",
        "completed_at": f"2026-11-24T12:{minute:02}:00.000Z",
        "params": {"attachment": "https://b.example/k.jpg?X-Amz-Signature=5ec2e7"},
        "metadata": {"job": job, "row_id": f"r{number}"},
        "response": response,
    }
    return {"task_id": task_id(number), "response": response, "task": {**inner, **task}}


def submission(number: int) -> Submission:
    row_id = f"r{number}"
    return Submission(row_id, number + 1, task_id(number), None, "f", 0, 0, None, ["x"], {"id": row_id})


class World:
    """A job's folder, with a ledger of so many tasks, and what is stored and collected there."""

    def __init__(self, job: Job, tasks: int) -> None:
        self.job = job
        self.folder = open_folder(job.output)
        job_record.create(self.folder, job, SOURCE)
        self.record(0, tasks)

    def record(self, first: int, end: int) -> None:
        submissions = [
            Submission(f"r{n}", n + 1, task_id(n), None, "f", 0, 0, None, ["x"], {"id": f"r{n}"})
            for n in range(first, end)
        ]
        Ledger(self.folder, SOURCE).record(submissions)

    def came(self, *callbacks: dict[str, Any]) -> None:
        """As the receiver stores them, in one file."""
        append(self.folder, CALLBACKS, [parse_callback(json.dumps(one).encode()).to_line() for one in callbacks])

    def collector(self) -> Collector:
        client = ScaleClient("test_x", "http://127.0.0.1:9")
        return Collector(self.job, client, Ledger(self.folder, SOURCE), self.folder, SOURCE, StopToken())

    def collect(self) -> Collector:
        collector = self.collector()
        collector.collect(poll=False)
        return collector

    def rows(self, name: str) -> dict[str, Any]:
        """row_id → category, or reason; each row once."""
        found: dict[str, Any] = {}
        for file in self.folder.list(f"{name}/"):
            with self.folder.open(file.name) as content:
                for row in pq.read_table(content).to_pylist():
                    assert row["row_id"] not in found
                    found[row["row_id"]] = row["category"][0] if name == "labels" else row["reason"]
        return found

    def stored(self, prefix: str = CALLBACKS) -> list[str]:
        return [str(one.task_id) for file in self.folder.list(prefix) for one in read_stored(self.folder, file.name)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(make_job(tmp_path), 3)


@pytest.fixture
def server(world: World) -> Iterator[CallbackServer]:
    with serving(world.job) as started:
        yield started


@contextmanager
def serving(*jobs: Job) -> Iterator[CallbackServer]:
    """A receiver of jobs, in a thread of this process."""
    server = CallbackServer(CallbackReceiver(jobs), KEY, "127.0.0.1", 0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def post(server: CallbackServer, body: Any, key: str | None = KEY) -> int:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"scale-callback-auth": key} if key is not None else {}
    return requests.post(f"{server.url}/callback", data=content, headers=headers, timeout=10).status_code


def test_what_is_acknowledged_is_stored_and_becomes_a_label(world: World, server: CallbackServer) -> None:
    assert post(server, answer(0)) == 200
    assert world.stored() == [task_id(0)]
    world.collect()
    assert world.rows("labels") == {"r0": "a"}
    assert world.stored() == []


def test_no_signature_is_stored(world: World, server: CallbackServer) -> None:
    post(server, answer(0, {"category": "a", "seen": "https://b.example/k.jpg?a=1&X-Amz-Signature=5ec2e7"}))
    [file] = world.folder.list(CALLBACKS)
    stored = pa.CompressedInputStream(pa.BufferReader(world.folder.read(file.name) or b""), "zstd").read()
    assert b"https://b.example/k.jpg?a=1" in stored
    assert b"5ec2e7" not in stored


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", KEY[:-1], KEY.upper()])
def test_without_the_key_nothing_is_stored(world: World, server: CallbackServer, key: str | None) -> None:
    assert post(server, answer(0), key) == 401
    assert world.stored() == []


BROKEN: list[Any] = [
    b"",
    b"{",
    b"\xff",
    b"[" * 2000,
    [],
    "text",
    {},
    {"task_id": "x"},
    {"task_id": "x", "response": {"category": "a"}},
    {"task": []},
    {"task": {"task_id": 7, "status": "completed"}},
    {"task": {"task_id": "x"}},
    {"task_id": "y", "task": {"task_id": "x", "status": "completed", "response": {}}},
    {"task_id": "x", "task": {"task_id": "x", "status": "completed"}},
    {"task_id": 7, "error": "Not downloaded."},
]


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: str(body)[:40])
def test_what_is_no_callback_is_refused_and_not_stored(world: World, server: CallbackServer, body: Any) -> None:
    assert post(server, body) == 400
    assert world.stored() == world.stored(UNROUTED) == []


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_refused(
    world: World, server: CallbackServer, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_server, "MAX_BODY_BYTES", 3000)
    large = json.dumps(answer(0, {"category": "a" * 4000})).encode()
    content: Any = (large[first : first + 500] for first in range(0, len(large), 500)) if chunked else large
    headers = {"scale-callback-auth": KEY}
    assert requests.post(f"{server.url}/callback", data=content, headers=headers, timeout=10).status_code == 413
    assert post(server, answer(0)) == 200
    assert world.stored() == [task_id(0)]


def test_callbacks_that_come_together_share_a_write(
    world: World, server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "COMMIT_INTERVAL", 0.3)
    with ThreadPoolExecutor(20) as senders:
        assert set(senders.map(lambda number: post(server, answer(number)), range(20))) == {200}
    assert len(world.folder.list(CALLBACKS)) < 5
    assert len(world.stored()) == 20


def test_what_cannot_be_stored_is_not_acknowledged(
    world: World, server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(LocalFolder, "write", full)
        assert post(server, answer(0)) == 503
        health = requests.get(f"{server.url}/health", timeout=10)
        assert (health.status_code, health.json()["reasons"]) == (503, ["no space left"])
    assert post(server, answer(0)) == 200
    assert requests.get(f"{server.url}/health", timeout=10).status_code == 200


def test_more_than_there_is_room_for_is_sent_away(
    world: World, server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "MAX_BUFFERED_BYTES", 10)
    assert post(server, answer(0)) == 503
    assert world.stored() == []


def test_metrics_count_what_became_of_callbacks(world: World, server: CallbackServer) -> None:
    for body, key in ((answer(0), KEY), (answer(0), KEY), (answer(0), "wrong"), (b"", KEY), (answer(7, job="x"), KEY)):
        post(server, body, key)
    lines = requests.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    assert 'labelflow_callbacks_total{job="job",result="stored"} 2' in lines
    for result in ("forged", "malformed", "unrouted"):
        assert f'labelflow_callbacks_total{{job="",result="{result}"}} 1' in lines


def test_only_what_is_offered_is_answered(server: CallbackServer) -> None:
    assert requests.get(f"{server.url}/callback", timeout=10).status_code == 405
    assert requests.post(f"{server.url}/", timeout=10).status_code == 404


def test_each_job_gets_its_own_by_metadata_or_by_its_ledger(tmp_path: Path) -> None:
    one = World(make_job(tmp_path, name="one", output=str(tmp_path / "one")), 2)
    two = World(make_job(tmp_path, name="two", output=str(tmp_path / "two")), 0)
    two.record(5, 8)
    with serving(one.job, two.job) as server:
        assert post(server, answer(9, job="two")) == 200  # before the ledger has it
        assert post(server, {"task_id": task_id(5), "error": "Not downloaded."}) == 200
        assert post(server, answer(1, job="two", metadata={})) == 200
        assert post(server, answer(20, job="three")) == 200
        assert post(server, {"error": "Not downloaded.", "attachments": []}) == 200  # as the contract shows it
    assert (one.stored(), two.stored()) == ([task_id(1)], [task_id(9), task_id(5)])
    assert one.stored(UNROUTED) == [task_id(20), "None"]


def test_a_job_can_be_served_once_only_and_its_output_is_its_own(tmp_path: Path, world: World) -> None:
    with pytest.raises(UsageError, match="the same name"):
        CallbackReceiver([world.job, world.job])
    with pytest.raises(UsageError, match="holds the job 'job'"):
        CallbackReceiver([make_job(tmp_path, name="other")])


def test_a_port_that_is_taken_is_told(server: CallbackServer, world: World) -> None:
    with pytest.raises(UsageError, match="cannot be listened on"):
        CallbackServer(CallbackReceiver([world.job]), KEY, "127.0.0.1", int(server.url.rpartition(":")[2]))


def test_a_later_answer_replaces_the_one_before_in_its_file(world: World) -> None:
    world.came(answer(0, minute=1), answer(1, minute=1))
    world.collect()
    before = [file.name for file in world.folder.list("labels/")]
    world.came(answer(0, {"category": "b"}, minute=5))
    world.collect()
    assert world.rows("labels") == {"r0": "b", "r1": "a"}
    assert [file.name for file in world.folder.list("labels/")] == before


@pytest.mark.parametrize("together", [True, False])
def test_an_older_answer_never_replaces_a_later_one(world: World, together: bool) -> None:
    callbacks = [answer(0, {"category": "b"}, minute=5), answer(0, minute=1)]
    for some in [callbacks] if together else [[one] for one in callbacks]:
        world.came(*some)
        world.collect()
    assert world.rows("labels") == {"r0": "b"}


def test_an_audit_that_changes_the_answer_shows_by_updated_at(world: World) -> None:
    for category, minute in (("a", 1), ("b", 3), ("a", 2)):  # the last one is late
        world.came(answer(0, {"category": category}, updated_at=f"2026-11-24T12:{minute:02}:00.000Z"))
        world.collect()
    assert world.rows("labels") == {"r0": "b"}


def test_the_same_answer_again_writes_nothing(world: World) -> None:
    world.came(answer(0))
    world.collect()
    [file] = world.folder.list("labels/")
    written = (Path(world.folder.uri) / file.name).stat().st_mtime_ns
    world.came(answer(0), answer(0, updated_at="2026-11-24T13:00:00.000Z"))
    world.collect()
    assert (Path(world.folder.uri) / file.name).stat().st_mtime_ns == written


def test_one_process_that_looks_again_and_again_keeps_each_row_once(world: World) -> None:
    collector = world.collector()
    for minute in range(3):
        for updated in (1, 2):
            for number in range(3):
                at = f"2026-11-24T13:0{2 * minute + updated}:00Z"
                world.came(answer(number, {"category": "bab"[minute]}, minute, updated_at=at))
                collector.collect(poll=False)
                collector.collect(poll=False)
    assert world.rows("labels") == {"r0": "b", "r1": "b", "r2": "b"}
    assert len(collector.outcomes) == 3


def test_a_label_becomes_an_error_and_a_label_again(world: World) -> None:
    world.came(answer(0, minute=1), answer(1, minute=1))
    world.collect()
    world.came(answer(0, {"error": "unclear"}, minute=2))
    assert world.collect().outcomes.labeled == 1
    assert (world.rows("labels"), world.rows("errors")) == ({"r1": "a"}, {"r0": "unclear"})
    world.came(answer(0, {"category": "b"}, minute=3))
    assert world.collect().outcomes.labeled == 2
    assert (world.rows("labels"), world.rows("errors")) == ({"r0": "b", "r1": "a"}, {})


def test_a_task_that_is_pending_again_keeps_its_answer(world: World) -> None:
    world.came(answer(0))
    world.collect()
    world.came({"task_id": task_id(0), "task": {**answer(0)["task"], "status": "pending", "completed_at": None}})
    world.collect()
    assert world.rows("labels") == {"r0": "a"}
    assert world.stored() == []


def test_bad_attachments_are_an_error_with_the_status_of_each_url(world: World) -> None:
    url = "https://b.example/k.jpg?X-Amz-Signature=5ec2e7"
    world.came({"task_id": task_id(0), "error": "Not downloaded.", "attachments": [{"statusCode": 403, "url": url}]})
    world.collect()
    assert world.rows("errors") == {"r0": "Not downloaded. (HTTP 403: https://b.example/k.jpg)"}


def test_a_callback_waits_until_the_ledger_knows_its_task(world: World) -> None:
    world.came(answer(0), answer(3))
    collector = world.collect()
    assert (world.rows("labels"), collector.unmatched_callbacks) == ({"r0": "a"}, 1)
    assert not collector.has_callbacks()
    assert collector.collect(poll=False) == 0
    world.record(3, 4)
    assert collector.collect(poll=False) == 1
    assert world.rows("labels") == {"r0": "a", "r3": "a"}
    assert (world.stored(), collector.unmatched_callbacks) == ([], 0)


@pytest.mark.parametrize("at_once", [1, 5000])
def test_a_crash_before_the_labels_are_written_loses_no_callback(
    world: World, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "BATCH_SIZE", at_once)
    world.came(answer(0), answer(1))
    collector = world.collector()
    with monkeypatch.context() as broken:
        broken.setattr(collector._files, "_write_part", lambda *_: (_ for _ in ()).throw(StorageError("gone")))
        with pytest.raises(StorageError):
            collector.collect(poll=False)
    assert world.rows("labels") == {}
    assert collector.collect(poll=False) == 2
    assert world.rows("labels") == {"r0": "a", "r1": "a"}


def test_a_crash_between_the_two_folders_leaves_the_row_to_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.came(answer(0, minute=1), answer(1, minute=1))
    another = world.collect()
    collector = world.collector()
    world.came(answer(0, {"error": "unclear"}, minute=2))
    with monkeypatch.context() as broken:
        broken.setattr(collector._files, "_write_part", lambda *_: (_ for _ in ()).throw(StorageError("gone")))
        with pytest.raises(StorageError):
            collector.collect(poll=False)
    assert (world.rows("labels"), world.rows("errors")) == ({"r1": "a"}, {})
    another.collect(poll=False)
    assert (world.rows("labels"), world.rows("errors")) == ({"r1": "a"}, {"r0": "unclear"})


def test_answers_that_another_process_replaced_are_not_overwritten_by_older_ones(world: World) -> None:
    world.came(answer(0, minute=1), answer(1, minute=1))
    slow = world.collect()
    world.came(answer(0, {"category": "b"}, minute=9))
    world.collect()
    world.came(answer(0, {"category": "a", "more": "x" * 50}, minute=5))
    slow.collect(poll=False)
    assert world.rows("labels") == {"r0": "b", "r1": "a"}


def test_rows_that_another_process_moved_are_found_where_they_are(world: World) -> None:
    world.came(answer(0, minute=1), answer(1, minute=1))
    slow = world.collect()
    world.came(answer(0, {"error": "unclear"}, minute=2))
    world.collect()
    world.came(answer(0, {"category": "b"}, minute=3), answer(1, {"category": "b"}, minute=3))
    slow.collect(poll=False)
    assert (world.rows("labels"), world.rows("errors")) == ({"r0": "b", "r1": "b"}, {})


def test_it_works_in_s3(tmp_path: Path, bucket: Bucket) -> None:
    world = World(make_job(tmp_path, output=bucket.uri("out")), 2)
    with serving(world.job) as server:
        assert post(server, answer(0)) == 200
        assert post(server, answer(1)) == 200
    world.collect()
    world.came(answer(1, {"error": "unclear"}, minute=9))
    world.collect()
    assert (world.rows("labels"), world.rows("errors")) == ({"r0": "a"}, {"r1": "unclear"})
    assert world.stored() == []


def test_no_reader_sees_a_row_twice_or_none_while_it_is_replaced(world: World) -> None:
    world.came(answer(0), answer(1), answer(2))
    world.collect()
    done, seen = threading.Event(), set()

    def read() -> None:
        while not done.is_set():
            seen.add(tuple(sorted(world.rows("labels"))))

    reader = threading.Thread(target=read)
    reader.start()
    for minute in range(1, 30):
        world.came(answer(0, {"category": "ab"[minute % 2]}, minute=minute))
        world.collect()
    done.set()
    reader.join()
    assert seen == {("r0", "r1", "r2")}


def test_halves_of_characters_keep_no_answer_back(world: World, server: CallbackServer) -> None:
    assert post(server, json.dumps(answer(0)).replace('"a"', '"a\\ud83d"').encode()) == 200
    world.collect()
    assert world.rows("labels")["r0"].startswith("a")


def test_a_line_is_read_back_as_it_was_stored() -> None:
    for body in (answer(0), {"task_id": "x", "error": "e", "attachments": [{"statusCode": 500, "url": "u"}]}):
        callback = parse_callback(json.dumps(body, indent=1).encode())
        again = parse_callback(callback.to_line())
        assert (again.task_id, again.response, again.to_line()) == (
            callback.task_id,
            callback.response,
            callback.to_line(),
        )
        assert b"\n" not in callback.to_line()
    with pytest.raises(InvalidCallback, match="no JSON object"):
        parse_callback(b"7")
