"""Callbacks: which are accepted or refused, and how duplicate, late or replaced answers end up in the files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from labelflow.callbacks import callback_router, group_commit, inbox
from labelflow.callbacks import server as callback_server
from labelflow.callbacks.callback import InvalidCallback, parse_callback
from labelflow.callbacks.callback_router import CallbackRouter
from labelflow.callbacks.group_commit import PROBE_INTERVAL
from labelflow.callbacks.server import CallbackServer
from labelflow.callbacks.stored_callbacks import CALLBACKS, UNROUTED, append, read_stored
from labelflow.collection.collector import Collector
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import InvalidInput, StorageError
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.context import ConnectedJob
from labelflow.ledger.ledger import Ledger
from labelflow.records import Submission
from labelflow.scale.client import ScaleClient
from labelflow.storage.local import LocalFolder
from labelflow.storage.opening import open_folder
from tests.support.jobs import make_job
from tests.support.s3_servers import Bucket

KEY = "the-callback-auth-key"
SOURCE = pa.struct([("id", pa.string())])


def task_id(number: int) -> str:
    return f"{number:024x}"


def callback_document(
    number: int, response: Any = None, minute: int = 0, job: str = "job", **task: Any
) -> dict[str, Any]:
    """A callback about a task that was completed some minutes after noon."""
    response = {"category": "a"} if response is None else response
    inner = {
        "task_id": task_id(number),
        "type": "categorization",
        "status": "completed",
        "completed_at": f"2026-11-24T12:{minute:02}:00.000Z",
        "params": {"attachment": "https://b.example/k.jpg?X-Amz-Credential=A&X-Amz-Signature=5ec2e7"},
        "metadata": {"job": job, "row_id": f"r{number}"},
        "response": response,
    }
    return {"task_id": task_id(number), "response": response, "task": {**inner, **task}}


def submission(number: int) -> Submission:
    row_id = f"r{number}"
    return Submission(row_id, number + 1, task_id(number), None, "f", 0, 0, None, ["x"], {"id": row_id})


class CallbackJob:
    """A job's folder: its ledger of some tasks, its stored callbacks and its collected answers."""

    def __init__(self, job: Job, tasks: int) -> None:
        self.job = job
        self.folder = open_folder(job.output)
        job_record.claim(self.folder, job, SOURCE)
        self.record(0, tasks)

    def record(self, first: int, stop: int) -> None:
        submissions = [
            Submission(f"r{n}", n + 1, task_id(n), None, "f", 0, 0, None, ["x"], {"id": f"r{n}"})
            for n in range(first, stop)
        ]
        Ledger(self.folder, SOURCE).record(submissions)

    def store_callbacks(self, *callbacks: dict[str, Any]) -> None:
        """As the receiver stores them, in one file."""
        append(self.folder, CALLBACKS, [parse_callback(json.dumps(one).encode()).to_line() for one in callbacks])

    def collector(self) -> Collector:
        client = ScaleClient("test_x", "http://127.0.0.1:9")
        ledger = Ledger.load(self.folder, SOURCE)
        return Collector(ConnectedJob(self.job, self.folder, ledger, StopToken(), client))

    def collect(self) -> Collector:
        collector = self.collector()
        collector.collect(poll=False)
        return collector

    def results_by_row(self, name: str) -> dict[str, Any]:
        """row_id → category, or reason; each row once."""
        found: dict[str, Any] = {}
        for file in self.folder.list(f"{name}/"):
            with self.folder.open(file.name) as content:
                for row in pq.read_table(content).to_pylist():
                    assert row["row_id"] not in found
                    found[row["row_id"]] = row["category"][0] if name == "labels" else row["reason"]
        return found

    def stored_task_ids(self, prefix: str = CALLBACKS) -> list[str]:
        return [str(one.task_id) for file in self.folder.list(prefix) for one in read_stored(self.folder, file.name)]


@pytest.fixture
def callback_job(tmp_path: Path) -> CallbackJob:
    return CallbackJob(make_job(tmp_path), 3)


@pytest.fixture
def server(callback_job: CallbackJob) -> Iterator[CallbackServer]:
    with running_receiver(callback_job.job) as started:
        yield started


@contextmanager
def running_receiver(*jobs: Job) -> Iterator[CallbackServer]:
    """A receiver of jobs, in a thread of this process."""
    server = CallbackServer(CallbackRouter(jobs), KEY, "127.0.0.1", 0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def post(server: CallbackServer, body: Any, key: str | None = KEY) -> int:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"scale-callback-auth": key} if key is not None else {}
    return requests.post(f"{server.url}/callback", data=content, headers=headers, timeout=10).status_code


def test_acknowledged_callback_is_stored_and_becomes_a_label(callback_job: CallbackJob, server: CallbackServer) -> None:
    assert post(server, callback_document(0)) == 200
    assert callback_job.stored_task_ids() == [task_id(0)]
    callback_job.collect()
    assert callback_job.results_by_row("labels") == {"r0": "a"}
    assert callback_job.stored_task_ids() == []


def test_no_signature_is_stored(callback_job: CallbackJob, server: CallbackServer) -> None:
    url = "https://b.example/k.jpg?a=1&X-Amz-Credential=A&X-Amz-Signature=5ec2e7"
    text = f"{url} Is it open? Ben & Jerry's, see ?policy=a&expires=b"
    post(server, callback_document(0, {"category": "a", "seen": text, url: 1}))
    [file] = callback_job.folder.list(CALLBACKS)
    stored = pa.CompressedInputStream(pa.BufferReader(callback_job.folder.read(file.name) or b""), "zstd").read()
    assert b"https://b.example/k.jpg?a=1 Is it open? Ben & Jerry's, see ?policy=a&expires=b" in stored
    assert b"5ec2e7" not in stored


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", KEY[:-1], KEY.upper()])
def test_nothing_is_stored_without_the_key(callback_job: CallbackJob, server: CallbackServer, key: str | None) -> None:
    assert post(server, callback_document(0), key) == 401
    assert callback_job.stored_task_ids() == []


INVALID_CALLBACKS: list[Any] = [
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


@pytest.mark.parametrize("body", INVALID_CALLBACKS, ids=lambda body: str(body)[:40])
def test_invalid_callback_is_rejected_and_not_stored(
    callback_job: CallbackJob, server: CallbackServer, body: Any
) -> None:
    assert post(server, body) == 400
    assert callback_job.stored_task_ids() == callback_job.stored_task_ids(UNROUTED) == []


@pytest.mark.parametrize("chunked", [True, False])
def test_oversized_body_is_rejected(
    callback_job: CallbackJob, server: CallbackServer, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_server, "MAX_BODY_BYTES", 3000)
    large = json.dumps(callback_document(0, {"category": "a" * 4000})).encode()
    content: Any = (large[first : first + 500] for first in range(0, len(large), 500)) if chunked else large
    headers = {"scale-callback-auth": KEY}
    assert requests.post(f"{server.url}/callback", data=content, headers=headers, timeout=10).status_code == 413
    assert post(server, callback_document(0)) == 200
    assert callback_job.stored_task_ids() == [task_id(0)]


def test_concurrent_callbacks_share_a_write(
    callback_job: CallbackJob, server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "COMMIT_INTERVAL", 0.3)
    with ThreadPoolExecutor(20) as senders:
        assert set(senders.map(lambda number: post(server, callback_document(number)), range(20))) == {200}
    assert len(callback_job.folder.list(CALLBACKS)) < 5
    assert len(callback_job.stored_task_ids()) == 20


def test_callback_that_cannot_be_stored_is_not_acknowledged(
    callback_job: CallbackJob, server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(LocalFolder, "write", full)
        assert post(server, callback_document(0)) == 503
        health = requests.get(f"{server.url}/health", timeout=10)
        assert health.status_code == 503
        assert str(callback_job.folder.uri) not in health.text, "who asks is not known"
    time.sleep(PROBE_INTERVAL)
    assert requests.get(f"{server.url}/health", timeout=10).status_code == 200, "without another callback"
    assert post(server, callback_document(0)) == 200
    assert len(callback_job.folder.list(CALLBACKS)) == 1, "the probe is not a callback"


def test_callbacks_beyond_the_buffer_are_rejected_as_overloaded(
    callback_job: CallbackJob, server: CallbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_router, "MAX_BUFFERED_BYTES", 10)
    assert post(server, callback_document(0)) == 503
    assert callback_job.stored_task_ids() == []


def test_metrics_count_callbacks_by_outcome(callback_job: CallbackJob, server: CallbackServer) -> None:
    for body, key in (
        (callback_document(0), KEY),
        (callback_document(0), KEY),
        (callback_document(0), "wrong"),
        (b"", KEY),
        (callback_document(7, job="x"), KEY),
    ):
        post(server, body, key)
    lines = requests.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    assert 'labelflow_callbacks_total{job="job",result="stored"} 2' in lines
    for result in ("forged", "malformed", "unrouted"):
        assert f'labelflow_callbacks_total{{job="",result="{result}"}} 1' in lines


def test_unknown_routes_are_rejected(server: CallbackServer) -> None:
    assert requests.get(f"{server.url}/callback", timeout=10).status_code == 405
    assert requests.post(f"{server.url}/", timeout=10).status_code == 404
    headers = {"Host": "elsewhere.example", "scale-callback-auth": KEY}
    response = requests.post(f"{server.url}/callback/", headers=headers, timeout=10, allow_redirects=False)
    assert response.status_code == 404, "a redirect would lead to any Host"


def test_callbacks_are_routed_by_metadata_or_by_the_ledger(tmp_path: Path) -> None:
    one = CallbackJob(make_job(tmp_path, name="one", output=str(tmp_path / "one")), 2)
    two = CallbackJob(make_job(tmp_path, name="two", output=str(tmp_path / "two")), 0)
    two.record(5, 8)
    with running_receiver(one.job, two.job) as server:
        assert post(server, callback_document(9, job="two")) == 200  # before the ledger has it
        assert post(server, {"task_id": task_id(5), "error": "Not downloaded."}) == 200
        assert post(server, callback_document(1, job="two", metadata={})) == 200
        assert post(server, callback_document(20, job="three")) == 200
        assert post(server, {"error": "Not downloaded.", "attachments": []}) == 200  # as the contract shows it
    assert (one.stored_task_ids(), two.stored_task_ids()) == ([task_id(1)], [task_id(9), task_id(5)])
    assert one.stored_task_ids(UNROUTED) == [task_id(20), "None"]


def test_each_job_and_output_folder_is_served_only_once(tmp_path: Path, callback_job: CallbackJob) -> None:
    with pytest.raises(InvalidInput, match="the same name"):
        CallbackRouter([callback_job.job, callback_job.job])
    with pytest.raises(InvalidInput, match="holds the job 'job'"):
        CallbackRouter([make_job(tmp_path, name="other")])


def test_port_in_use_is_reported(server: CallbackServer, callback_job: CallbackJob) -> None:
    with pytest.raises(InvalidInput, match="cannot listen on this address"):
        CallbackServer(CallbackRouter([callback_job.job]), KEY, "127.0.0.1", int(server.url.rpartition(":")[2]))


def test_newer_answer_replaces_the_previous_one_in_its_file(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0, minute=1), callback_document(1, minute=1))
    callback_job.collect()
    before = [file.name for file in callback_job.folder.list("labels/")]
    callback_job.store_callbacks(callback_document(0, {"category": "b"}, minute=5))
    callback_job.collect()
    assert callback_job.results_by_row("labels") == {"r0": "b", "r1": "a"}
    assert [file.name for file in callback_job.folder.list("labels/")] == before


@pytest.mark.parametrize("together", [True, False])
def test_older_answer_never_replaces_a_newer_one(callback_job: CallbackJob, together: bool) -> None:
    callbacks = [callback_document(0, {"category": "b"}, minute=5), callback_document(0, minute=1)]
    for some in [callbacks] if together else [[one] for one in callbacks]:
        callback_job.store_callbacks(*some)
        callback_job.collect()
    assert callback_job.results_by_row("labels") == {"r0": "b"}


def test_answer_changed_by_an_audit_is_detected_by_updated_at(callback_job: CallbackJob) -> None:
    for category, minute in (("a", 1), ("b", 3), ("a", 2)):  # the last one is late
        callback_job.store_callbacks(
            callback_document(0, {"category": category}, updated_at=f"2026-11-24T12:{minute:02}:00.000Z")
        )
        callback_job.collect()
    assert callback_job.results_by_row("labels") == {"r0": "b"}


def test_repeated_identical_answer_writes_nothing(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0))
    callback_job.collect()
    [file] = callback_job.folder.list("labels/")
    written = (Path(callback_job.folder.uri) / file.name).stat().st_mtime_ns
    callback_job.store_callbacks(callback_document(0), callback_document(0, updated_at="2026-11-24T13:00:00.000Z"))
    callback_job.collect()
    assert (Path(callback_job.folder.uri) / file.name).stat().st_mtime_ns == written


def test_repeated_passes_of_one_process_keep_each_row_once(callback_job: CallbackJob) -> None:
    collector = callback_job.collector()
    for minute in range(3):
        for updated in (1, 2):
            for number in range(3):
                at = f"2026-11-24T13:0{2 * minute + updated}:00Z"
                callback_job.store_callbacks(
                    callback_document(number, {"category": "bab"[minute]}, minute, updated_at=at)
                )
                collector.collect(poll=False)
                collector.collect(poll=False)
    assert callback_job.results_by_row("labels") == {"r0": "b", "r1": "b", "r2": "b"}
    assert len(collector.outcomes) == 3


def test_label_becomes_an_error_and_a_label_again(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0, minute=1), callback_document(1, minute=1))
    callback_job.collect()
    callback_job.store_callbacks(callback_document(0, {"error": "unclear"}, minute=2))
    assert callback_job.collect().outcomes.labeled == 1
    assert (callback_job.results_by_row("labels"), callback_job.results_by_row("errors")) == (
        {"r1": "a"},
        {"r0": "unclear"},
    )
    callback_job.store_callbacks(callback_document(0, {"category": "b"}, minute=3))
    assert callback_job.collect().outcomes.labeled == 2
    assert (callback_job.results_by_row("labels"), callback_job.results_by_row("errors")) == (
        {"r0": "b", "r1": "a"},
        {},
    )


def test_task_that_is_pending_again_keeps_its_answer(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0))
    callback_job.collect()
    callback_job.store_callbacks(
        {"task_id": task_id(0), "task": {**callback_document(0)["task"], "status": "pending", "completed_at": None}}
    )
    callback_job.collect()
    assert callback_job.results_by_row("labels") == {"r0": "a"}
    assert callback_job.stored_task_ids() == []


def test_bad_attachments_give_an_error_with_the_status_of_each_url(callback_job: CallbackJob) -> None:
    url = "https://b.example/k.jpg?X-Amz-Credential=A&X-Amz-Signature=5ec2e7"
    callback_job.store_callbacks(
        {"task_id": task_id(0), "error": "Not downloaded.", "attachments": [{"statusCode": 403, "url": url}]}
    )
    callback_job.collect()
    assert callback_job.results_by_row("errors") == {"r0": "Not downloaded. (HTTP 403: https://b.example/k.jpg)"}


def test_callback_waits_until_the_ledger_has_its_task(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0), callback_document(3))
    collector = callback_job.collect()
    assert (callback_job.results_by_row("labels"), collector.unmatched_callbacks) == ({"r0": "a"}, 1)
    assert not collector.has_callbacks()
    assert collector.collect(poll=False) == 0
    callback_job.record(3, 4)
    assert collector.collect(poll=False) == 1
    assert callback_job.results_by_row("labels") == {"r0": "a", "r3": "a"}
    assert (callback_job.stored_task_ids(), collector.unmatched_callbacks) == ([], 0)


@pytest.mark.parametrize("at_once", [1, 5000])
def test_crash_before_the_labels_are_written_loses_no_callback(
    callback_job: CallbackJob, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "BATCH_SIZE", at_once)
    callback_job.store_callbacks(callback_document(0), callback_document(1))
    collector = callback_job.collector()
    with monkeypatch.context() as broken:
        broken.setattr(collector._files, "_write_part", lambda *_: (_ for _ in ()).throw(StorageError("unavailable")))
        with pytest.raises(StorageError):
            collector.collect(poll=False)
    assert callback_job.results_by_row("labels") == {}
    assert collector.collect(poll=False) == 2
    assert callback_job.results_by_row("labels") == {"r0": "a", "r1": "a"}


def test_crash_between_labels_and_errors_leaves_the_row_to_the_next_pass(
    callback_job: CallbackJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback_job.store_callbacks(callback_document(0, minute=1), callback_document(1, minute=1))
    another = callback_job.collect()
    collector = callback_job.collector()
    callback_job.store_callbacks(callback_document(0, {"error": "unclear"}, minute=2))
    with monkeypatch.context() as broken:
        broken.setattr(collector._files, "_write_part", lambda *_: (_ for _ in ()).throw(StorageError("unavailable")))
        with pytest.raises(StorageError):
            collector.collect(poll=False)
    assert (callback_job.results_by_row("labels"), callback_job.results_by_row("errors")) == ({"r1": "a"}, {})
    another.collect(poll=False)
    assert (callback_job.results_by_row("labels"), callback_job.results_by_row("errors")) == (
        {"r1": "a"},
        {"r0": "unclear"},
    )


def test_answers_replaced_by_another_process_are_not_overwritten_by_older_ones(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0, minute=1), callback_document(1, minute=1))
    slow = callback_job.collect()
    callback_job.store_callbacks(callback_document(0, {"category": "b"}, minute=9))
    callback_job.collect()
    callback_job.store_callbacks(callback_document(0, {"category": "a", "more": "x" * 50}, minute=5))
    slow.collect(poll=False)
    assert callback_job.results_by_row("labels") == {"r0": "b", "r1": "a"}


def test_rows_moved_by_another_process_are_found(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0, minute=1), callback_document(1, minute=1))
    slow = callback_job.collect()
    callback_job.store_callbacks(callback_document(0, {"error": "unclear"}, minute=2))
    callback_job.collect()
    callback_job.store_callbacks(
        callback_document(0, {"category": "b"}, minute=3), callback_document(1, {"category": "b"}, minute=3)
    )
    slow.collect(poll=False)
    assert (callback_job.results_by_row("labels"), callback_job.results_by_row("errors")) == (
        {"r0": "b", "r1": "b"},
        {},
    )


def test_callbacks_are_stored_and_collected_in_s3(tmp_path: Path, bucket: Bucket) -> None:
    callback_job = CallbackJob(make_job(tmp_path, output=bucket.uri("out")), 2)
    with running_receiver(callback_job.job) as server:
        assert post(server, callback_document(0)) == 200
        assert post(server, callback_document(1)) == 200
    callback_job.collect()
    callback_job.store_callbacks(callback_document(1, {"error": "unclear"}, minute=9))
    callback_job.collect()
    assert (callback_job.results_by_row("labels"), callback_job.results_by_row("errors")) == (
        {"r0": "a"},
        {"r1": "unclear"},
    )
    assert callback_job.stored_task_ids() == []


def test_readers_see_a_row_exactly_once_while_it_is_replaced(callback_job: CallbackJob) -> None:
    callback_job.store_callbacks(callback_document(0), callback_document(1), callback_document(2))
    callback_job.collect()
    done, seen = threading.Event(), set()

    def read() -> None:
        while not done.is_set():
            seen.add(tuple(sorted(callback_job.results_by_row("labels"))))

    reader = threading.Thread(target=read)
    reader.start()
    for minute in range(1, 30):
        callback_job.store_callbacks(callback_document(0, {"category": "ab"[minute % 2]}, minute=minute))
        callback_job.collect()
    done.set()
    reader.join()
    assert seen == {("r0", "r1", "r2")}


def test_lone_surrogates_do_not_block_an_answer(callback_job: CallbackJob, server: CallbackServer) -> None:
    assert post(server, json.dumps(callback_document(0)).replace('"a"', '"a\\ud83d"').encode()) == 200
    callback_job.collect()
    assert callback_job.results_by_row("labels")["r0"].startswith("a")


def test_stored_line_round_trips() -> None:
    for body in (
        callback_document(0),
        {"task_id": "x", "error": "e", "attachments": [{"statusCode": 500, "url": "u"}]},
    ):
        callback = parse_callback(json.dumps(body, indent=1).encode())
        again = parse_callback(callback.to_line())
        assert (again.task_id, again.response, again.to_line()) == (
            callback.task_id,
            callback.response,
            callback.to_line(),
        )
        assert b"\n" not in callback.to_line()
    with pytest.raises(InvalidCallback, match="is not a JSON object"):
        parse_callback(b"7")
