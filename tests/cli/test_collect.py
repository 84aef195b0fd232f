"""`python -m flows.collect_responses` with jobs that fail: one message for each, and the others are collected."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from labelflow.jobs.job import Job
from tests.support.commands import run_command
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

COMMAND = [sys.executable, "-m", "flows.collect_responses"]
KEY = "live_collect"


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)


def submit_job(folder: Path, url: str, name: str, mode: str = "live") -> Job:
    """A job whose tasks have been created, in a folder of its own below `out`."""
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(5)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = make_job(folder, name=name, output=str(folder / "out" / name), scale={"url": url, "mode": mode})
    label(job, wait=False)
    return job


def test_failed_jobs_are_named_and_the_others_are_collected(tmp_path: Path, prefect_api: str) -> None:
    root = tmp_path / "out"
    with running_in_process(turnaround=0) as url:
        for name in ("a", "b", "c"):
            submit_job(tmp_path, url, name)
        (root / "b" / "_ledger" / "config.json").write_text("{")
        named = {"PREFECT_API_URL": prefect_api, "SCALE_API_KEY": KEY, "LABELFLOW_TRUSTED": url}
        done = run_command(root, home=tmp_path / "home", command=COMMAND, **named)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("b/_ledger/config.json is corrupt") == 1
    assert "1 of 3 jobs failed:" in done.stderr
    assert "Traceback" not in done.stderr
    assert [name for name in ("a", "b", "c") if f" {name} " in done.stdout] == ["a", "c"]
    assert [len(pd.read_parquet(root / name / "labels")) for name in ("a", "c")] == [5, 5]


def test_reason_is_reported_for_each_job_when_all_fail(tmp_path: Path) -> None:
    with running_in_process(turnaround=0) as url:
        for name in ("a", "b"):
            submit_job(tmp_path, url, name)
        (tmp_path / "out" / "b" / "_ledger" / "config.json").write_text("{")
        named = {"SCALE_API_KEY": "test_other_mode", "LABELFLOW_TRUSTED": url}
        done = run_command(tmp_path / "out", home=tmp_path / "home", command=COMMAND, **named)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first.startswith(f"a ({tmp_path}/out/a): scale.mode: the mode is live, but the key is a test key")
    assert "b/_ledger/config.json is corrupt" in second
    assert not (tmp_path / "home").exists(), "Prefect was not started"


def test_jobs_of_the_other_mode_are_skipped(tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process(turnaround=0) as url:
        submit_job(tmp_path, url, "live-job")
        with monkeypatch.context() as other:
            other.setenv("SCALE_API_KEY", "test_collect")
            submit_job(tmp_path, url, "test-job", mode="test")
        named = {"PREFECT_API_URL": prefect_api, "SCALE_API_KEY": KEY, "LABELFLOW_TRUSTED": url}
        done = run_command(tmp_path / "out", home=tmp_path / "home", command=COMMAND, **named)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"test-job ({tmp_path}/out/test-job): skipped, scale.mode: the mode is test, but" in done.stdout
    assert len(pd.read_parquet(tmp_path / "out" / "live-job" / "labels")) == 5


def test_folder_without_jobs_is_reported(tmp_path: Path) -> None:
    done = run_command(tmp_path, home=tmp_path / "home", command=COMMAND)
    fix = "give the output folder of a job, or a folder above it"
    assert (done.returncode, done.stderr) == (2, f"{tmp_path}: contains no job, neither do its subfolders; {fix}\n")
