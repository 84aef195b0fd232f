"""Tasks of a killed run that shared the folder: no command may forget them before they are in the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labelflow.errors import InvalidInput, NotRecorded, RunAborted
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.ledger.ledger import Ledger
from labelflow.operations.cancel import cancel
from labelflow.operations.collect import collect_job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

ROWS = 12


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """A live job without a cap, whose only run has created all tasks and recorded none."""
    monkeypatch.setenv("SCALE_API_KEY", "live_abandoned")
    write_rows(tmp_path, ROWS)
    with running_in_process(turnaround=3600) as url:
        job = make_job(tmp_path, scale={"url": url, "mode": "live"})
        with monkeypatch.context() as crash:
            crash.setattr(Ledger, "record", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
            with pytest.raises(NotRecorded):
                label(job, wait=False)
        yield job


def write_rows(folder: Path, count: int) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(count)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_with_a_limit(job: Job, _: Path) -> None:
    label(job, limit=3, wait=False)


def run_with_fewer_rows(job: Job, folder: Path) -> None:
    write_rows(folder, 3)
    label(job, wait=False)


@pytest.mark.parametrize("next_run", [run_with_a_limit, run_with_fewer_rows])
def test_next_run_that_does_not_reach_all_rows_forgets_no_task(
    interrupted: Job, tmp_path: Path, next_run: Callable[[Job, Path], None]
) -> None:
    next_run(interrupted, tmp_path)
    with closing(open_existing_job(interrupted)) as context:
        assert "a run was interrupted" in "".join(collect_job(context).warnings)
    with closing(open_existing_job(interrupted)) as context:
        assert cancel(context).canceled == ROWS


def test_other_account_is_refused_while_no_task_is_recorded(interrupted: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_other")
    with pytest.raises(InvalidInput, match="used another server or API key, and may have created tasks there"):
        label(interrupted, wait=False)
    with (
        closing(open_existing_job(interrupted)) as context,
        pytest.raises(InvalidInput, match="used another server or API key"),
    ):
        cancel(context)
    monkeypatch.setenv("SCALE_API_KEY", "live_abandoned")
    assert label(interrupted, wait=False).recovered == ROWS


def test_second_account_is_refused_while_a_run_of_the_first_is_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path, ROWS)
    with running_in_process(turnaround=3600) as url:
        job = make_job(tmp_path, scale={"url": url, "mode": "live"})
        monkeypatch.setenv("SCALE_API_KEY", "live_first")
        with closing(LabelRun(Plan(job))) as first:
            monkeypatch.setenv("SCALE_API_KEY", "live_second")
            with pytest.raises(RunAborted, match="uses another server or API key; give the jobs different outputs"):
                label(job, wait=False)
            for chunk in first.plan.chunks():
                first.dispatcher.submit(chunk)
            first.finish_submission()
        with pytest.raises(InvalidInput, match="does not have for this key"):
            label(job, wait=False)
