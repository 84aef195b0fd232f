"""Collection by a process that knows only the output folder."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelflow.errors import InvalidInput, RunAborted
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.context import open_existing_job
from labelflow.operations import discovery
from labelflow.operations.collect import CollectionResult, collect_job
from labelflow.operations.discovery import find_jobs, find_single_job
from labelflow.storage import s3
from labelflow.storage.opening import open_folder
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.s3_servers import Bucket, S3RequestCounter
from tests.support.sandbox import running_in_process, running_staged

ROWS = 60


def create_job(folder: Path, url: str, name: str = "job", output: str | None = None) -> Job:
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"r{number}", "text": f"text {number}" if number else " "} for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"output": output} if output else {}
    return make_job(folder, name=name, scale={"url": url, "mode": "live"}, max_unlabeled="100%", **changes)


def collect_once(job: Job) -> CollectionResult:
    with closing(open_existing_job(job)) as opened:
        return collect_job(opened)


def collect_until_complete(job: Job) -> CollectionResult:
    deadline = time.monotonic() + 20
    while not (seen := collect_once(job)).is_complete:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return seen


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_job_is_completed_without_its_manifest_and_config(
    tmp_path: Path, api_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_visit")
    with running_staged(api=api_version) as sandbox:
        monkeypatch.setenv("LABELFLOW_TRUSTED", sandbox.url)
        submitted = label(create_job(tmp_path, sandbox.url), wait=False)
        assert submitted.pending == ROWS - 1
        sandbox.complete(ROWS - 1)
        (tmp_path / "manifest.jsonl").unlink()
        seen = collect_until_complete(find_single_job(str(tmp_path / "out")))
    assert seen.summary
    assert (seen.summary.rows, seen.summary.labeled, seen.summary.rejected) == (ROWS, ROWS - 1, 1)
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == ROWS - 1
    assert len(list((tmp_path / "out" / "labels").glob("*.parquet"))) == 1
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (written["pending"], written["labeled"]) == (0, ROWS - 1)


def test_jobs_below_a_folder_are_found_on_disk_and_in_s3(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_visit")
    with running_in_process(turnaround=0) as url:
        monkeypatch.setenv("LABELFLOW_TRUSTED", url)
        for root in (str(tmp_path / "out"), bucket.uri("labels")):
            for name in ("one", "two"):
                label(create_job(tmp_path, url, name, f"{root}/{name}"), wait=False)
            found = [one.require_job() for one in find_jobs(root)]
            assert [job.name for job in found] == ["one", "two"]
            assert [job.output for job in found] == [f"{root}/one", f"{root}/two"]
            assert list(find_jobs(f"{root}/nowhere")) == []
            assert find_single_job(f"{root}/one").name == "one"
            with pytest.raises(InvalidInput, match="holds 2 jobs"):
                find_single_job(root)
    assert s3.list_folders(bucket.uri("labels/")) == ["one", "two"]


def test_interrupted_submission_leaves_the_summary_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_visit")
    with running_in_process(turnaround=0.2) as url:
        job = create_job(tmp_path, url)
        label(job, wait=False)
        (tmp_path / "out" / "_ledger" / "manifest.json").unlink()
        deadline = time.monotonic() + 20
        while (seen := collect_once(job)).waiting:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert seen.summary is None
        assert not seen.is_complete
        assert len(pd.read_parquet(tmp_path / "out" / "labels")) == ROWS - 1


def test_saved_job_round_trips(tmp_path: Path) -> None:
    job = make_job(
        tmp_path, submit={"rate": "600/m", "max_tasks": 7}, collect={"poll_interval": "90s"}, max_unlabeled="3%"
    )
    folder = open_folder(job.output)
    job_record.save_config(folder, job)
    assert job_record.load_config(folder) == job


def test_saved_job_has_no_signature(tmp_path: Path) -> None:
    url = "https://b/guide.pdf?X-Amz-Credential=AKIA&X-Amz-Signature=5e3c7ea2"
    job = make_job(tmp_path, task__instruction=f"See {url}")
    folder = open_folder(job.output)
    job_record.save_config(folder, job)
    saved = job_record.load_config(folder)
    assert saved
    assert saved.task["instruction"] == "See https://b/guide.pdf"


def create_existing_job(folder: Path, root: str, name: str, **changes: Any) -> Job:
    """A job whose config is kept in its output, as a run does."""
    job = make_job(folder, name=name.rpartition("/")[2], output=f"{root}/{name}", **changes)
    job_record.save_config(open_folder(job.output), job)
    return job


def test_jobs_are_found_at_any_depth_but_not_inside_a_job(tmp_path: Path, bucket: Bucket) -> None:
    for root in (str(tmp_path / "root"), bucket.uri("root")):
        for name in ("a", "team/b", "team/2026/11/c", "a/within", "1/2/3/4/too-deep/d/e"):
            create_existing_job(tmp_path, root, name)
        assert [one.output for one in find_jobs(root)] == [
            f"{root}/{name}" for name in ("a", "team/b", "team/2026/11/c")
        ]


def test_job_discovery_costs_two_requests_per_folder_and_none_inside_a_job(
    tmp_path: Path, bucket: Bucket, s3_requests: S3RequestCounter
) -> None:
    create_existing_job(tmp_path, bucket.uri("root"), "team/job")
    bucket.fill([f"root/team/job/labels/part-{number}.parquet" for number in range(1500)])
    before = s3_requests.count()
    assert len(list(find_jobs(bucket.uri("root")))) == 1
    assert s3_requests.count() - before == 5  # of root and team what it is and what it holds, of the job what it is


def test_root_with_too_many_folders_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_FOLDERS", 10)
    create_existing_job(tmp_path, str(tmp_path / "root"), "job")
    for number in range(12):
        (tmp_path / "root" / f"other-{number}").mkdir()
    job, rest = find_jobs(str(tmp_path / "root"))
    assert job.require_job().name == "job"
    with pytest.raises(InvalidInput, match="has more than 10 folders without a job; name folders that are closer"):
        rest.require_job()


def test_corrupt_job_does_not_hide_others(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a", "b", "c"):
        create_existing_job(tmp_path, str(root), name)
    (root / "b" / "_ledger" / "config.json").write_text("{")
    (root / "d" / "_ledger").mkdir(parents=True)
    (root / "d" / "_ledger" / "config.json").mkdir()
    found = list(find_jobs(str(root)))
    assert [one.job.name if one.job else one.output for one in found] == ["a", str(root / "b"), "c", str(root / "d")]
    with pytest.raises(RunAborted, match=r"b/_ledger/config.json is corrupt; run label_dataset"):
        found[1].require_job()
    with pytest.raises(RunAborted, match=r"d/_ledger/config.json: "):
        found[3].require_job()
