"""Visits: what has come back is taken over by a process that knows the output folder only."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from labeling import ledger, s3
from labeling.begun import BegunJob, find_jobs, the_job_in
from labeling.errors import Unusable
from labeling.job import Job
from labeling.storage import open_folder
from labeling.visiting import Visited, visit
from sandbox.server import running
from tests.labeling.conftest import Bucket
from tests.labeling.driver import label
from tests.labeling.jobs import make_job

ROWS = 60


def the_job(folder: Path, url: str, name: str = "job", output: str | None = None) -> Job:
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"r{number}", "text": f"text {number}" if number else " "} for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"output": output} if output else {}
    return make_job(folder, name=name, scale={"url": url, "mode": "live"}, max_rejected="100%", **changes)


def look(job: Job) -> Visited:
    with closing(BegunJob(job)) as begun:
        return visit(begun)


def until_through(job: Job) -> Visited:
    deadline = time.monotonic() + 20
    while not (seen := look(job)).is_through:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return seen


@pytest.mark.parametrize("dialect", ["today", "2017"])
def test_a_job_is_finished_without_its_manifest_and_its_config(
    tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_visit")
    with running(dialect=dialect, turnaround=1) as url:
        submitted = label(the_job(tmp_path, url), wait=False)
        assert submitted.pending == ROWS - 1
        (tmp_path / "manifest.jsonl").unlink()
        [job] = find_jobs(str(tmp_path / "out"))
        seen = until_through(job)
    assert seen.summary
    assert (seen.summary.rows, seen.summary.labeled, seen.summary.rejected) == (ROWS, ROWS - 1, 1)
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == ROWS - 1
    assert len(list((tmp_path / "out" / "labels").glob("*.parquet"))) == 1
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (written["pending"], written["labeled"]) == (0, ROWS - 1)


def test_the_jobs_below_a_folder_are_found_on_disk_and_in_s3(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_visit")
    with running(turnaround=1) as url:
        for root in (str(tmp_path / "out"), bucket.uri("labels")):
            for name in ("one", "two"):
                label(the_job(tmp_path, url, name, f"{root}/{name}"), wait=False)
            found = list(find_jobs(root))
            assert [job.name for job in found] == ["one", "two"]
            assert [job.output for job in found] == [f"{root}/one", f"{root}/two"]
            assert list(find_jobs(f"{root}/nowhere")) == []
            assert the_job_in(f"{root}/one").name == "one"
            with pytest.raises(Unusable, match="holds 2 jobs"):
                the_job_in(root)
    assert s3.list_folders(bucket.uri("labels/")) == ["one", "two"]


def test_a_submission_that_broke_off_leaves_the_summary_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_visit")
    with running(turnaround=0.2) as url:
        job = the_job(tmp_path, url)
        label(job, wait=False)
        (tmp_path / "out" / "_ledger" / "manifest.json").unlink()
        deadline = time.monotonic() + 20
        while (seen := look(job)).waiting:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert seen.summary is None
        assert not seen.is_through
        assert len(pd.read_parquet(tmp_path / "out" / "labels")) == ROWS - 1


def test_a_job_reads_back_as_it_was_kept(tmp_path: Path) -> None:
    job = make_job(tmp_path, submit={"rate": "600/m", "max_tasks": 7}, completion={"every": "90s"}, max_rejected="3%")
    folder = open_folder(job.output)
    ledger.keep_config(folder, job)
    assert ledger.kept_config(folder) == job
