"""Two runs of one job at the same time: side by side where the server keeps a second task out, else one by one."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelflow.concurrency import lease, lease_record
from labelflow.errors import RunAborted
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.scale.client import ScaleClient
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process
from tests.support.stale_leases import lease_files

ROWS = 40


@pytest.fixture(autouse=True)
def fast_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_both")
    monkeypatch.setattr(lease_record, "HEARTBEAT_INTERVAL", 0.05)


def create_job(folder: Path, url: str, **changes: Any) -> Job:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make_job(folder, scale={"url": url}, collect={"poll_interval": "0.5s"}, **changes)


def created_rows(url: str) -> int:
    with ScaleClient("test_both", url) as client:
        return sum(1 for _ in client.list_tasks())


@pytest.mark.parametrize(
    ("api_version", "changes", "relabel"),
    [
        ("2017", {}, None),
        ("current", {"submit": {"max_tasks": 10}}, None),
        ("current", {"submit": {"price_per_task": 1, "max_cost": 10}}, None),
        ("current", {}, RelabelMode.CHANGED),
    ],
    ids=["2017", "max_tasks", "max_cost", "relabel"],
)
def test_second_run_is_refused_where_only_the_ledger_prevents_duplicates(
    tmp_path: Path, api_version: str, changes: dict[str, Any], relabel: RelabelMode | None
) -> None:
    with running_in_process(api=api_version) as url:
        job = create_job(tmp_path, url, **changes)
        with closing(LabelRun(Plan(job, relabel=relabel))) as first:
            with pytest.raises(RunAborted, match="another run of this job is active"):
                LabelRun(Plan(job))
            for chunk in first.plan.chunks():
                first.dispatcher.submit(chunk)
            with pytest.raises(RunAborted, match="another run of this job is active"):
                LabelRun(Plan(job))
            first.finish_submission()
            before = created_rows(url)
            second = label(job, wait=False)
            assert (second.created, created_rows(url)) == (0, before)
        assert not lease_files(tmp_path / "out")


def test_run_planned_before_another_recorded_its_tasks_sees_them(tmp_path: Path) -> None:
    with running_in_process(api="2017") as url:
        job = create_job(tmp_path, url)
        planned = Plan(job)
        assert label(job).created == ROWS
        with closing(LabelRun(planned)) as run:
            for chunk in run.plan.chunks():
                run.dispatcher.submit(chunk)
            run.finish_submission()
        assert created_rows(url) == ROWS


def test_concurrent_runs_share_tasks_and_answers(tmp_path: Path) -> None:
    with running_in_process(api="current") as url:
        job = create_job(tmp_path, url)
        with closing(LabelRun(Plan(job))) as first, closing(LabelRun(Plan(job))) as second:
            for mine, its in zip(first.plan.chunks(), second.plan.chunks(), strict=True):
                first.dispatcher.submit(mine)
                second.dispatcher.submit(its)
            for run in (first, second):
                run.finish_submission()
            while first.pending or second.pending:
                first.collect()
                second.collect()
                time.sleep(0.05)
            assert first.finish().labeled == second.finish().labeled == ROWS
        assert created_rows(url) == ROWS
        assert pd.read_parquet(tmp_path / "out" / "labels")["row_id"].is_unique


def test_only_one_process_writes_answers_while_others_read_them(tmp_path: Path) -> None:
    with running_in_process(api="current") as url:
        job = create_job(tmp_path, url)
        label(job)
        (tmp_path / "out" / "labels").rename(tmp_path / "hidden")
        with closing(LabelRun(Plan(job))) as waiting:
            other = lease.Lease(waiting.plan.context.folder, lease.COLLECTORS, exclusive=True, request_timeout=20)
            assert other.try_acquire() is None
            assert (waiting.pending, waiting.collect()) == (ROWS, 0)
            assert not (tmp_path / "out" / "labels").exists()
            (tmp_path / "hidden").rename(tmp_path / "out" / "labels")
            assert waiting.collect() == ROWS
            other.release()


def test_rows_left_by_one_run_and_submitted_by_another_are_counted_once(tmp_path: Path) -> None:
    with running_in_process(api="current") as url:
        job = create_job(tmp_path, url, max_unlabeled="100%")
        good = (tmp_path / "manifest.jsonl").read_text()
        (tmp_path / "manifest.jsonl").write_text(good.replace("text 3", " "))
        with closing(LabelRun(Plan(job, limit=20))) as run:
            for chunk in run.plan.chunks():
                run.dispatcher.submit(chunk)
            (tmp_path / "manifest.jsonl").write_text(good)
            assert label(job).labeled == ROWS
            run.finish_submission()
            run.collect()
            summary = run.finish()
        assert (summary.labeled, summary.rejected, summary.pending) == (ROWS, 0, 0)
        assert not (tmp_path / "out" / "rejects" / "rejects.parquet").exists()
