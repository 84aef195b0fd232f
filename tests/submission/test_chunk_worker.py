"""Work items: chunks that another process submits. Here it is this process, but it uses only the item's content."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from labelflow.concurrency import lease_watch
from labelflow.concurrency.lease_record import LeaseLost
from labelflow.errors import InvalidInput, TooManyUnlabeled
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.records import SubmissionReport
from labelflow.scale.client import ScaleClient
from labelflow.submission import chunk_worker
from labelflow.submission.chunk_worker import WorkItem, execute
from tests.support.jobs import make_job
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process

KEY = "test_elsewhere"
ROWS = 30


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running_in_process() as url:
        yield url


def create_job(folder: Path, api: str, **changes: Any) -> Job:
    rows = [{"id": f"{folder.name}-{number}", "text": f"text {number}"} for number in range(ROWS)]
    rows[7]["text"] = " "
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make_job(folder, name=folder.name, scale={"url": api}, runner="dask", **changes)


def execute_isolated(item: WorkItem) -> SubmissionReport:
    """Execute as on a worker: shares nothing with this process except what earlier work items have opened."""
    arrived: WorkItem = pickle.loads(pickle.dumps(item))
    report: SubmissionReport = pickle.loads(pickle.dumps(execute(arrived)))
    return report


def created_rows(job: Job) -> Counter[str]:
    with ScaleClient(KEY, job.scale.url) as client:
        return Counter(str(task.metadata["row_id"]) for task in client.list_tasks() if task.metadata["job"] == job.name)


def test_work_item_executed_twice_creates_no_second_task(tmp_path: Path, api: str) -> None:
    job = create_job(tmp_path, api)
    with closing(LabelRun(Plan(job))) as run:
        (chunk,) = run.plan.chunks()
        work_item = run.dispatcher.make_work_item(chunk, workers=2)
        first = execute_isolated(work_item)
        again = execute_isolated(work_item)  # the first worker died before it could report
        assert (first.created, again.created, again.recovered, len(again.rejected)) == (ROWS - 1, 0, ROWS - 1, 1)
        run.dispatcher.record_result(work_item, again)
        run.finish_submission()
        run.collect()
        summary = run.finish()
    assert (summary.labeled, summary.rejected, summary.pending) == (ROWS - 1, 1, 0)
    assert set(created_rows(job).values()) == {1}
    assert list((tmp_path / "out" / "_ledger" / "runs").glob("*")) == []


def test_cap_of_a_chunk_is_reserved_from_max_tasks_and_returned(tmp_path: Path, api: str) -> None:
    job = create_job(tmp_path, api, submit={"max_tasks": ROWS + 5})
    with closing(LabelRun(Plan(job))) as run:
        (chunk,) = run.plan.chunks()
        work_item = run.dispatcher.make_work_item(chunk, workers=1)
        other = run.dispatcher.make_work_item(chunk, workers=1)
        assert (work_item.tasks, other.tasks) == (ROWS, 5)
        report = execute_isolated(work_item)
        assert report.unused_tasks == 1  # of the row that is rejected
        run.dispatcher.record_result(work_item, report)
        assert run.dispatcher.make_work_item(chunk, workers=1).tasks == 1


def test_first_rows_of_a_chunk_are_within_the_cap(tmp_path: Path, api: str) -> None:
    job = create_job(tmp_path, api, submit={"max_tasks": 4})
    with closing(LabelRun(Plan(job))) as run:
        (chunk,) = run.plan.chunks()
        work_item = run.dispatcher.make_work_item(chunk, workers=1)
        report = execute_isolated(work_item)
        assert execute_isolated(work_item).created == 0
        assert sorted(created_rows(job)) == [f"{tmp_path.name}-{number}" for number in range(4)]
        assert len(report.over_cap) == ROWS - 5


def test_worker_reports_short_lived_urls_before_the_first_task(
    tmp_path: Path, api: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-a-role")
    task = {"type": "annotation", "instruction": "?", "attachment": bucket.uri("a.jpg"), "objects_to_annotate": ["car"]}
    with closing(LabelRun(Plan(create_job(tmp_path, api, task=task, attachments={"check": "off"})))) as run:
        (chunk,) = run.plan.chunks()
        caplog.clear()
        execute_isolated(run.dispatcher.make_work_item(chunk, workers=1))
    own = [record for record in caplog.records if record.name.startswith("labelflow")]
    assert [record.getMessage().split(":")[0] for record in own] == [
        "the AWS credentials are temporary, and it is not known when they end"
    ]


def test_workers_share_the_rate(tmp_path: Path, api: str) -> None:
    with closing(LabelRun(Plan(create_job(tmp_path, api, submit={"rate": "90/s"})))) as run:
        (chunk,) = run.plan.chunks()
        assert run.dispatcher.make_work_item(chunk, workers=3).rate == 30


def test_nothing_is_sent_for_a_dead_run(tmp_path: Path, api: str) -> None:
    job = create_job(tmp_path, api)
    with closing(LabelRun(Plan(job))) as run:
        (chunk,) = run.plan.chunks()
        work_item = run.dispatcher.make_work_item(chunk, workers=1)
    with pytest.raises(LeaseLost):
        execute_isolated(work_item)
    assert created_rows(job) == Counter()


def test_work_item_without_a_report_keeps_a_lease_record(tmp_path: Path, api: str) -> None:
    job = create_job(tmp_path, api)
    with closing(LabelRun(Plan(job))) as run:
        (chunk,) = run.plan.chunks()
        run.dispatcher.make_work_item(chunk, workers=1)
        run.finish_submission()
    assert len(list((tmp_path / "out" / "_ledger" / "runs").glob("*"))) == 1


def test_exceeding_max_unlabeled_stops_further_work_items(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelflow.planning.plan.MIN_ROWS_FOR_LIMIT", 10)
    with closing(LabelRun(Plan(create_job(tmp_path, api, max_unlabeled=0)))) as run:
        (chunk,) = run.plan.chunks()
        work_item = run.dispatcher.make_work_item(chunk, workers=1)
        run.dispatcher.record_result(work_item, execute_isolated(work_item))
        with pytest.raises(TooManyUnlabeled):
            run.dispatcher.make_work_item(chunk, workers=1)


def test_relabeling_and_servers_without_unique_id_are_rejected(tmp_path: Path, api: str) -> None:
    job = create_job(tmp_path, api)
    with pytest.raises(InvalidInput, match="only one process may relabel rows; use runner: threads"):
        LabelRun(Plan(job, relabel=RelabelMode.CHANGED))
    with running_in_process(api="2017") as old, pytest.raises(InvalidInput, match="does not support unique_id"):
        LabelRun(Plan(create_job(tmp_path, old)))


def test_worker_process_closes_the_connections_of_finished_runs(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = chunk_worker._Workers()
    monkeypatch.setattr(chunk_worker, "_workers", workers)
    monkeypatch.setattr(lease_watch, "WATCH_INTERVAL", 0.0)
    closed: list[str] = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        job = create_job(tmp_path / name, api)
        with closing(LabelRun(Plan(job))) as run:
            (chunk,) = run.plan.chunks()
            item = run.dispatcher.make_work_item(chunk, workers=1)
            run.dispatcher.record_result(item, chunk_worker.execute(item))
            assert closed == ([] if name == "first" else ["first"])
            [worker] = workers._workers.values()
            monkeypatch.setattr(worker, "close", lambda name=name: closed.append(name))
            run.finish_submission()
