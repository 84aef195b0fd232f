"""A pass costs about one request per hundred new answers, and misses no answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.collection import created_windows, updated_since, watermark
from labelflow.collection.collector import Collector
from labelflow.collection.watermark import Watermark
from labelflow.concurrency.lease import COLLECTORS, Lease
from labelflow.jobs.job import Job
from labelflow.ledger.context import ConnectedJob, open_existing_job
from labelflow.ledger.ledger import Ledger
from labelflow.operations.collect import CollectionResult, collect_job
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.records import Outcome, Submission
from labelflow.scale.client import ScaleClient
from labelflow.scale.models import Task
from labelflow.scale.transport import Reply
from labelflow.storage.local import LocalFolder
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process, running_staged

KEY = "live_watermark"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
API_VERSIONS = pytest.mark.parametrize("api_version", ["current", "2017"])


@pytest.fixture(autouse=True)
def short_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes follow each other within seconds here, so they overlap by milliseconds."""
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    monkeypatch.setattr(watermark, "OVERLAP", timedelta(milliseconds=50))
    monkeypatch.setattr(created_windows, "MARGIN_MS", 5)


@pytest.fixture
def sent_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all requests, which are sent as usual."""
    asked: list[str] = []
    send = ScaleClient._send

    def counting(self: ScaleClient, method: str, path: str, body: bytes | None = None) -> Reply:
        asked.append(path)
        return send(self, method, path, body)

    monkeypatch.setattr(ScaleClient, "_send", counting)
    return asked


def create_job(folder: Path, url: str, rows: int, **changes: Any) -> Job:
    lines = [json.dumps({"id": f"r{number}", "text": f"text {number}"}) + "\n" for number in range(rows)]
    (folder / "manifest.jsonl").write_text("".join(lines))
    return make_job(folder, scale={"url": url, "mode": "live"}, max_unlabeled="100%", **changes)


def collect_once(job: Job) -> CollectionResult:
    """Collect like a process that has just started."""
    with closing(open_existing_job(job)) as opened:
        return collect_job(opened)


def read_rows(job: Job, name: str) -> dict[str, str]:
    """row_id → response, each row once."""
    path = Path(job.output) / name
    found = pq.read_table(path).to_pylist() if path.exists() and list(path.glob("*.parquet")) else []
    assert len({row["row_id"] for row in found}) == len(found)
    return {row["row_id"]: row["response_json"] for row in found}


def list_tasks(url: str) -> list[Task]:
    with ScaleClient(KEY, url) as client:
        return list(client.list_tasks())


@API_VERSIONS
def test_pass_costs_one_request_per_hundred_new_answers(
    tmp_path: Path, api_version: str, sent_paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pass lists again what was updated during the pass before it, and where the server's Date, which is late by up to
    # two seconds, leaves doubt: here passes take no time, and the server's time is exact.
    monkeypatch.setattr(ScaleClient, "now", lambda _: datetime.now(UTC))
    monkeypatch.setattr(updated_since, "time", SimpleNamespace(monotonic=lambda: 0.0))
    count, passes = 800, 8
    with running_staged(api=api_version) as sandbox:
        job = create_job(tmp_path, sandbox.url, count)
        label(job, wait=False)
        sent_paths.clear()
        for number in range(passes):
            sandbox.complete(count // passes)
            collected = collect_once(job)
            assert (collected.labeled, collected.waiting) == (count // passes, count - (number + 1) * count // passes)
        # Per pass: the account, the other statuses, an empty page, and up to two pages of overlap on a slow machine.
        # Reading everything again would take 68 requests.
        assert len(sent_paths) <= count / 100 + 6 * passes
        assert len(read_rows(job, "labels")) == count
        sent_paths.clear()
        collect_once(job)
        assert len(sent_paths) < 8, "reading everything again would take 12 requests"


@API_VERSIONS
@pytest.mark.parametrize("is_lost", [False, True], ids=["", "watermark-lost"])
def test_no_answer_is_missed(tmp_path: Path, api_version: str, is_lost: bool) -> None:
    """Tasks that end in error, are canceled, or recalled and answered again (the current API) among them."""
    faults = "seed=5, error=10%" + (", recall=20%:0.2s" if api_version == "current" else "")
    with running_staged(api=api_version, faults=faults) as sandbox:
        url = sandbox.url
        job = create_job(tmp_path, url, 300)
        label(job, wait=False)
        with ScaleClient(KEY, url) as client:
            for task in list(client.list_tasks())[::10]:
                client.cancel_task(task.task_id)
        deadline = time.monotonic() + 40
        is_settled = False
        while not is_settled:
            assert time.monotonic() < deadline
            if is_lost:
                (tmp_path / "out" / "_ledger" / "watermark.json").unlink(missing_ok=True)
            is_settled = not any(task.status == "pending" for task in list_tasks(url))
            sandbox.complete(40)
            waiting = collect_once(job).waiting
        time.sleep(0.4)  # a recall may still come
        while any(task.status == "pending" for task in list_tasks(url)):
            time.sleep(0.1)
        assert waiting == 0
        collect_once(job)
        there = {str(task.metadata["row_id"]): task for task in list_tasks(url)}
    labels, errors = read_rows(job, "labels"), read_rows(job, "errors")
    assert set(labels) | set(errors) == set(there)
    assert not set(labels) & set(errors)
    for row_id, task in there.items():
        kept = labels.get(row_id) or errors[row_id]
        assert json.loads(kept) == task.response, (row_id, task.raw)
        assert (row_id in labels) == (task.status == "completed" and "error" not in (task.response or {}))


def test_watermark_is_not_advanced_by_a_pass_that_saw_an_unrecorded_task(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url, 3)
        label(job, wait=False)
        collect_until_complete(job)
        before = read_watermark(job).read_until
        with ScaleClient(KEY, url) as client:
            body = {"instruction": "?", "attachment_type": "text", "attachment": "x", "categories": ["a", "b"]}
            metadata = {"job": "job", "row_id": "r3"}
            client.create_task("categorization", {**body, "unique_id": "job/r3", "metadata": metadata})
            while not all(task.status == "completed" for task in client.list_tasks()):
                pass
        collect_once(job)
        assert read_watermark(job).read_until == before


def collect_until_complete(job: Job) -> None:
    deadline = time.monotonic() + 20
    while collect_once(job).waiting:
        assert time.monotonic() < deadline


def read_watermark(job: Job) -> Watermark:
    return Watermark.model_validate_json((Path(job.output) / "_ledger" / "watermark.json").read_bytes())


def test_watermark_uses_the_server_clock_and_advances(tmp_path: Path) -> None:
    with running_in_process(turnaround="0-0.5") as url:
        job = create_job(tmp_path, url, 20)
        label(job, wait=False)
        collect_until_complete(job)
        newest = max(filter(None, (task.completed_at for task in list_tasks(url))))
        deadline = time.monotonic() + 10
        while not (found := read_watermark(job)).read_until:  # the Date header of a busy server lags behind its tasks
            assert time.monotonic() < deadline
            time.sleep(0.2)
            collect_once(job)
    assert newest - timedelta(seconds=3) < found.read_until <= newest
    assert found.answers == 20


@API_VERSIONS
def test_lost_labels_are_fetched_again(tmp_path: Path, api_version: str) -> None:
    with running_in_process(api=api_version, turnaround=0) as url:
        job = create_job(tmp_path, url, 20)
        label(job, wait=False)
        collect_until_complete(job)
        for part in (tmp_path / "out" / "labels").iterdir():
            part.unlink()
        collect_once(job)
        assert len(read_rows(job, "labels")) == 20


@pytest.mark.parametrize("content", ["{", "[]", '{"read_until": "soon"}', '{"read_until": "2999-01-01T00:00:00Z"}'])
def test_invalid_watermark_is_ignored(tmp_path: Path, content: str) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url, 5)
        label(job, wait=False)
        (tmp_path / "out" / "_ledger" / "watermark.json").write_text(content)
        collect_until_complete(job)
        assert len(read_rows(job, "labels")) == 5


def make_collector(existing: ConnectedJob) -> Collector:
    return Collector(existing)


def test_process_without_the_collector_lease_writes_no_watermark(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url, 5)
        label(job, wait=False)
        (tmp_path / "out" / "_ledger" / "watermark.json").unlink(missing_ok=True)
        with closing(open_existing_job(job)) as opened, closing(open_existing_job(job)) as other:
            lease = Lease(opened.folder, COLLECTORS, exclusive=True, request_timeout=1)
            assert lease.try_acquire() is None
            make_collector(other).collect()
            lease.release()
        assert not (tmp_path / "out" / "_ledger" / "watermark.json").exists()


def test_windows_cover_the_pending_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(created_windows, "MARGIN_MS", 1000)
    folder = LocalFolder(str(tmp_path))
    ledger, outcomes = Ledger.load(folder, pa.struct([("id", pa.string())])), OutcomeIndex(folder)
    ledger.record([submission(number, NOON + timedelta(seconds=number)) for number in range(1000)])
    assert window_bounds(ledger, outcomes) == [(0, 999)]
    mark_labeled(outcomes, range(10))
    assert window_bounds(ledger, outcomes) == [(10, 999)]
    mark_labeled(outcomes, range(11, 990))
    assert window_bounds(ledger, outcomes) == [(990, 999), (10, 10)]
    mark_labeled(outcomes, range(991, 1000))
    assert window_bounds(ledger, outcomes) == [(990, 990), (10, 10)]
    ledger.record([submission(1001, None)])  # the server did not say when
    assert created_windows.pending_windows(ledger, outcomes) == [{}]
    mark_labeled(outcomes, [10, 990, 1001])
    assert created_windows.pending_windows(ledger, outcomes) == []


def test_small_gaps_between_pending_tasks_do_not_split_a_window(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    ledger, outcomes = Ledger.load(folder, pa.struct([("id", pa.string())])), OutcomeIndex(folder)
    ledger.record([submission(number, NOON + timedelta(seconds=number)) for number in range(200)])
    mark_labeled(outcomes, range(5, 195))
    assert len(created_windows.pending_windows(ledger, outcomes)) == 1


def submission(number: int, created_at: datetime | None) -> Submission:
    return Submission(f"r{number}", number + 1, f"t{number}", None, "f", 0, 0, created_at, [], {"id": f"r{number}"})


def mark_labeled(outcomes: OutcomeIndex, numbers: Iterable[int]) -> None:
    task_ids = [f"t{number}" for number in numbers]
    outcomes.record("labels/part.parquet", task_ids, [Outcome.LABELED] * len(task_ids), [1] * len(task_ids))


def window_bounds(ledger: Ledger, outcomes: OutcomeIndex) -> list[tuple[float, float]]:
    """The ends of the windows in seconds after noon, without the second of margin on either side."""
    found = []
    for filters in created_windows.pending_windows(ledger, outcomes):
        start, end = (datetime.fromisoformat(filters[name]) - NOON for name in ("start_time", "end_time"))
        found.append((start.total_seconds() + 1, end.total_seconds() - 1))
    return found
