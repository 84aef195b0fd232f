"""A completed job: it is closed, skipped, rechecked at intervals, and opened again by new rows or answers."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labelflow.accounting.summary import Summary
from labelflow.callbacks.callback import parse_callback
from labelflow.callbacks.stored_callbacks import CALLBACKS, append
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations import closed_jobs
from labelflow.operations.closed_jobs import RECHECK_PERIOD, ClosedRecord
from labelflow.operations.collect import CollectionResult, collect_job
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_folder
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_closed")


def create_job(folder: Path, url: str, rows: int = 5) -> Job:
    lines = [json.dumps({"id": f"r{number}", "text": f"text {number}"}) + "\n" for number in range(rows)]
    (folder / "manifest.jsonl").write_text("".join(lines))
    return make_job(folder, scale={"url": url, "mode": "live"})


def collect_once(job: Job) -> CollectionResult:
    with closing(open_existing_job(job)) as opened:
        return collect_job(opened)


def close_job(job: Job) -> Folder:
    """The folder of a job that was closed after a pass."""
    deadline = time.monotonic() + 20
    while not (seen := collect_once(job)).is_complete:
        assert time.monotonic() < deadline
    folder = open_folder(job.output)
    assert seen.summary
    closed_jobs.close(folder, seen.summary, seen.state_digest)
    return folder


def is_skipped(folder: Folder, at: datetime | None = None) -> bool:
    found = closed_jobs.read_closed(folder)
    return found is not None and found.is_unchanged(closed_jobs.current_state_digest(folder), at or datetime.now(UTC))


def test_closed_job_is_skipped_until_tasks_are_recorded(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job, wait=False)
        folder = close_job(job)
        assert is_skipped(folder)
        found = closed_jobs.read_closed(folder)
        assert found
        assert (found.rows, found.labeled, found.error) == (5, 5, 0)
        label(job, wait=False)  # there is nothing new in it
        assert is_skipped(folder)
        label(create_job(tmp_path, url, rows=6), wait=False)
        assert not is_skipped(folder)
        assert is_skipped(close_job(job))


def test_manifest_scan_with_different_totals_reopens_a_job(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job, wait=False)
        folder = close_job(job)
        label(create_job(tmp_path, url, rows=4), wait=False)  # a row is removed
        assert not is_skipped(folder)


def test_callbacks_reopen_a_closed_job_except_unmatched_ones(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job, wait=False)
        folder = close_job(job)
        task = {"task_id": "f" * 24, "type": "categorization", "status": "completed", "response": {"category": "a"}}
        append(folder, CALLBACKS, [parse_callback(json.dumps({"task": task}).encode()).to_line()])
        assert not is_skipped(folder)
        assert is_skipped(close_job(job))
        assert len(folder.list(CALLBACKS)) == 1


def test_rows_recorded_during_a_pass_are_left_for_the_next_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job, wait=False)
        while not (seen := collect_once(job)).is_complete:
            pass
        label(create_job(tmp_path, url, rows=6), wait=False)
        assert seen.summary
        closed_jobs.close(open_folder(job.output), seen.summary, seen.state_digest)
        assert not is_skipped(open_folder(job.output))


def closed_record(elapsed: timedelta) -> ClosedRecord:
    counts = dict.fromkeys(("rows", "labeled", "rejected", "error", "canceled"), 0)
    return ClosedRecord(closed_at=NOON, checked_at=NOON + elapsed, state_digest="m", **counts)


@pytest.mark.parametrize(
    ("elapsed", "next_after"),
    [
        (timedelta(0), HOUR),
        (5 * HOUR, 6 * HOUR),
        (50 * HOUR, 55 * HOUR),
        (RECHECK_PERIOD - HOUR, RECHECK_PERIOD),
        (RECHECK_PERIOD, None),
        (RECHECK_PERIOD + HOUR, None),
    ],
)
def test_closed_job_is_rechecked_at_growing_intervals_and_last_after_a_week(
    elapsed: timedelta, next_after: timedelta | None
) -> None:
    job, second = closed_record(elapsed), timedelta(seconds=1)
    if next_after is None:
        assert job.is_unchanged("m", NOON + timedelta(days=400))
    else:
        assert job.is_unchanged("m", NOON + next_after - second)
        assert not job.is_unchanged("m", NOON + next_after)


def test_recheck_of_a_closed_job_is_recorded_and_does_not_close_it_again(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job, wait=False)
        folder = close_job(job)
        first = closed_jobs.read_closed(folder)
        second = closed_jobs.read_closed(close_job(job))
    assert first
    assert second
    assert second.closed_at == first.closed_at
    assert second.checked_at > first.checked_at


def test_corrupt_closed_record_means_the_job_is_collected(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    folder.write(closed_jobs.FILE, b"{")
    assert closed_jobs.read_closed(folder) is None


class Reports:
    """Collects the reported completions; fails while `error` is set."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.error: Exception | None = None

    def emit(self, _: Folder, summary: Summary) -> None:
        if self.error:
            raise self.error
        self.jobs.append(summary.job)


def make_summary(pending: int = 0) -> Summary:
    names = [field.name for field in fields(Summary) if field.name not in ("job", "cost", "seconds")]
    counts = {**dict.fromkeys(names, 0), "rows": 3, "labeled": 3 - pending, "pending": pending}
    return Summary(job="job", cost=None, seconds={}, **counts)


def test_completion_is_reported_once_per_state_and_before_it_is_recorded(tmp_path: Path) -> None:
    folder, reports = open_folder(str(tmp_path)), Reports()
    reports.error = RuntimeError("not sent")
    with pytest.raises(RuntimeError):
        closed_jobs.record_pass(folder, make_summary(), "state", reports.emit, was_closed=False)
    assert closed_jobs.read_closed(folder) is None
    reports.error = None
    for state in ("state", "state", "next"):
        closed_jobs.record_pass(folder, make_summary(), state, reports.emit, was_closed=False)
    assert reports.jobs == ["job", "job"]


@pytest.mark.parametrize("summary", [None, make_summary(pending=1)])
def test_closed_job_with_pending_rows_is_reopened_by_a_pass(tmp_path: Path, summary: Summary | None) -> None:
    folder, reports = open_folder(str(tmp_path)), Reports()
    closed_jobs.record_run(folder, make_summary(pending=1), reports.emit)
    assert closed_jobs.read_closed(folder) is None
    closed_jobs.record_run(folder, make_summary(), reports.emit)
    assert closed_jobs.read_closed(folder)
    closed_jobs.record_pass(folder, summary, "state", reports.emit, was_closed=True)
    assert closed_jobs.read_closed(folder) is None
    assert reports.jobs == ["job"]
