"""The status of a job, read from its output folder while no API is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from labelflow.concurrency.lease import RUNS, Lease
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.operations.discovery import find_jobs
from labelflow.operations.status import JobStatus, read_status
from labelflow.storage.opening import open_folder
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

TEXTS = ["a", "b", " ", "d"]  # the third row is rejected


def create_job(folder: Path, url: str, texts: Sequence[str] = TEXTS) -> Job:
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make_job(
        folder, scale={"url": url, "mode": "live"}, submit={"price_per_task": 0.5}, max_unlabeled="100%", name="status"
    )


def status_of(job: Job) -> JobStatus:
    [found] = find_jobs(job.output, offline=True)
    return read_status(found.require_job())


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_status")


def test_status_follows_a_job_from_its_submission_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process(turnaround=0.2) as url:
        job = create_job(tmp_path, url)
        label(job, limit=2, wait=False)
        submitted = status_of(job)
        done = label(job)
    monkeypatch.delenv("SCALE_API_KEY")
    complete = status_of(job)
    assert (submitted.counts.rows, submitted.counts.not_submitted, submitted.tasks) == (4, 2, 2)
    assert (submitted.server, submitted.mode, submitted.is_scanned) == (url, "live", True)
    assert submitted.next_step == "collect: tasks are pending"
    assert (complete.counts.labeled, complete.counts.rejected, complete.counts.pending) == (3, 1, 0)
    assert complete.counts.cost == done.cost == 1.5
    assert complete.next_step == "complete; rejects/ and errors/ say why rows have no label"
    assert complete.age is not None
    assert 0 <= complete.age.total_seconds() < 60
    assert json.loads(json.dumps(complete.as_json()))["labeled"] == 3


def test_a_run_that_works_and_one_that_was_interrupted_are_named(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job)
    folder = open_folder(job.output)
    lease = Lease(folder, RUNS, exclusive=False, request_timeout=20)
    assert lease.try_acquire() is None
    working = status_of(job)
    lease.release(keep_record=True)
    interrupted = status_of(job)
    assert working.active[0].startswith("submitting: process ")
    assert working.next_step == "wait: a process works on the job"
    assert interrupted.active == []
    assert interrupted.interrupted[0].startswith("process ")
    assert interrupted.next_step.startswith("label: run it again; it finds the tasks")


def test_run_that_did_not_reach_the_end_of_the_manifest_shows_what_it_did(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job)
    open_folder(job.output).delete("_ledger/manifest.json")
    status = status_of(job)
    assert not status.is_scanned
    assert (status.counts.rows, status.counts.labeled) == (3, 3)
    assert status.next_step.startswith("label: run it again; the last run did not reach the end")


def test_settings_of_a_folder_need_no_trust_because_nothing_is_sent(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url)
        label(job)
    [found] = find_jobs(job.output)
    with pytest.raises(InvalidInput, match="not trusted"):
        found.require_job()
    assert status_of(job).next_step.startswith("complete")
