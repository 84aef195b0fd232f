"""`labelflow status`: the table, the JSON, and what cannot be read."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from labelflow.cli.status_table import format_age
from tests.support.commands import run_command
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

COMMAND = [sys.executable, "-m", "labelflow", "status"]


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the outputs of two jobs; the record of the second is corrupt."""
    monkeypatch.setenv("SCALE_API_KEY", "test_status")
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "b", "text": "y"}\n')
    with running_in_process(turnaround=0) as url:
        for name in ("first", "second"):
            label(make_job(tmp_path, name=name, output=str(tmp_path / "out" / name), scale={"url": url}))
    (tmp_path / "out" / "second" / "_ledger" / "job.json").write_text("{")
    return tmp_path / "out"


def test_jobs_are_shown_and_one_that_cannot_be_read_is_named(outputs: Path, tmp_path: Path) -> None:
    done = run_command(outputs, home=tmp_path / "home", command=COMMAND)
    assert done.returncode == 1
    assert f"first: complete ({outputs}/first, test tasks of http://127.0.0.1:" in done.stdout
    assert "second/_ledger/job.json is corrupt" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_has_the_counts_of_each_job(outputs: Path, tmp_path: Path) -> None:
    done = run_command(outputs / "first", "--json", home=tmp_path / "home", command=COMMAND)
    assert done.returncode == 0, done.stderr
    [status] = json.loads(done.stdout)
    assert (status["job"], status["rows"], status["labeled"], status["pending"]) == ("first", 2, 2, 0)
    assert status["next_step"] == "complete"


def test_folder_without_a_job_is_a_usage_error(tmp_path: Path) -> None:
    done = run_command(tmp_path, home=tmp_path / "home", command=COMMAND)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("contains no job") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s ago"), (60, "1 min ago"), (7199, "1 h ago"), (86_400, "1 d ago"), (None, "never")]
)
def test_age_has_one_unit(seconds: int | None, text: str) -> None:
    assert format_age(None if seconds is None else timedelta(seconds=seconds)) == text
