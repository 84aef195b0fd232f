"""Canceling against the sandbox, with both API versions: pending tasks are canceled, and late ones are reported."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from labelflow.errors import InvalidInput, NotRecorded
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.ledger.ledger import Ledger
from labelflow.operations.cancel import Cancellation, cancel
from labelflow.operations.collect import collect_job
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_cancel")


def submit_job(tmp_path: Path, url: str, **changes: Any) -> Job:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(30)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = make_job(tmp_path, scale={"url": url, "mode": "live"}, max_unlabeled="100%", **changes)
    label(job, wait=False)
    return job


def cancel_rows(job: Job, row_ids: set[str] | None = None) -> Cancellation:
    with closing(open_existing_job(job)) as opened:
        return cancel(opened, row_ids)


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_everything_pending_is_canceled_once(tmp_path: Path, api_version: str) -> None:
    with running_in_process(api=api_version, turnaround=3600) as url:
        job = submit_job(tmp_path, url)
        some = cancel_rows(job, {"r3", "r7", "r99"})
        assert (some.canceled, some.without_task) == (2, ["r99"])
        everything = cancel_rows(job)
        assert (everything.canceled, everything.too_late, everything.not_found) == (30, [], [])
        with closing(open_existing_job(job)) as opened:
            seen = collect_job(opened)
        assert (seen.errors, seen.waiting, seen.is_complete) == (30, 0, True)
        assert seen.summary
        assert seen.summary.canceled == 30
        assert cancel_rows(job) == Cancellation(canceled=0, already_canceled=30)


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_task_completed_meanwhile_is_not_canceled(tmp_path: Path, api_version: str) -> None:
    with running_in_process(api=api_version, turnaround=0.2) as url:
        job = submit_job(tmp_path, url)
        with closing(open_existing_job(job)) as opened:
            while collect_job(opened).waiting:
                pass
        for part in (tmp_path / "out" / "labels").glob("*"):
            part.unlink()
        result = cancel_rows(job, {"r3", "r7"})
        assert (result.canceled, result.too_late) == (0, ["r3", "r7"])


def test_network_failure_is_not_taken_for_a_cancel_response(tmp_path: Path) -> None:
    faults = "seed=4, 500-before=10%, 503-before=5%, 500-after=10%, dropped=10%, broken-json=5%"
    with running_in_process(api="2017", turnaround=3600, faults=faults) as url:
        job = submit_job(tmp_path, url)
        result = cancel_rows(job)
        assert (result.canceled, result.too_late, result.not_found) == (30, [], [])


def test_folder_without_a_job_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no job; run label_dataset first"):
        cancel_rows(make_job(tmp_path, scale={"mode": "live"}))


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_unrecorded_tasks_of_an_interrupted_run_are_canceled(
    tmp_path: Path, api_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_in_process(api=api_version, turnaround=3600) as url:
        job = submit_job(tmp_path, url)
        lines = [f'{{"id": "more-{number}", "text": "text {number}"}}\n' for number in range(4)]
        with (tmp_path / "manifest.jsonl").open("a") as manifest:
            manifest.writelines(lines)
        with monkeypatch.context() as crash:
            crash.setattr(Ledger, "record", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
            with pytest.raises(NotRecorded):
                label(job, wait=False)
        with closing(open_existing_job(job)) as context:
            assert "a run was interrupted" in "".join(collect_job(context).warnings)
        with closing(open_existing_job(job)) as context:
            recorded = context.ledger.tasks
            assert cancel(context).canceled == recorded + len(lines)
