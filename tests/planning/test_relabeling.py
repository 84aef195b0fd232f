"""Rows that have a task: a change alone creates no new one, a requested relabeling does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelflow.accounting.summary import Summary
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations.cancel import cancel
from labelflow.operations.label import LabelRun
from labelflow.planning import rows_without_new_task
from labelflow.planning.plan import Plan, Preview
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.scale.client import ScaleClient
from labelflow.scale.models import Task
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process, running_staged
from tests.support.stale_leases import abandon, lease_files

OUTCOMES = ("labeled", "rejected", "error", "canceled", "pending")


@pytest.fixture(params=["current", "2017"])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("SCALE_API_KEY", "test_relabel")
    with running_in_process(api=request.param) as url:
        yield url


@pytest.fixture
def job(tmp_path: Path, api: str) -> Job:
    write_rows(tmp_path, "a", "b", "c", "d")
    return make_job(tmp_path, scale={"url": api}, collect={"poll_interval": "0.5s"})


def write_rows(tmp_path: Path, *texts: str) -> None:
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def list_tasks(url: str) -> list[Task]:
    with ScaleClient("test_relabel", url) as client:
        return list(client.list_tasks())


def open_ledger(tmp_path: Path) -> pd.DataFrame:
    return pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")


def read_labels(tmp_path: Path) -> pd.DataFrame:
    return pd.read_parquet(tmp_path / "out" / "labels").set_index("row_id").sort_index()


def adds_up(summary: Summary) -> bool:
    return bool(sum(getattr(summary, name) for name in OUTCOMES) == summary.rows)


def test_changed_row_keeps_its_task_and_label_and_is_reported(job: Job, tmp_path: Path, api: str) -> None:
    label(job)
    before = read_labels(tmp_path)
    write_rows(tmp_path, "a", "B", "c", "d")
    summary = label(job)
    assert (summary.created, summary.changed, summary.labeled, summary.rejected) == (0, 1, 4, 0)
    assert len(list_tasks(api)) == 4
    assert read_labels(tmp_path).equals(before)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["changed"] == 1
    write_rows(tmp_path, "a", "b", "c", "d")
    assert label(job).changed == 0


def test_changed_rows_are_all_counted_and_a_sample_is_kept_in_memory(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(job)
    monkeypatch.setattr(rows_without_new_task, "MAX_CHANGED_SAMPLES", 2)
    write_rows(tmp_path, "A", "B", "C", "d")
    with closing(Plan(job)) as changed:
        changed.preview()
    assert changed.progress.changed == 3
    assert [reject.row_id for reject in changed.unsubmitted.changed] == ["r0", "r1"]


def test_row_that_became_invalid_keeps_its_task(job: Job, tmp_path: Path, api: str) -> None:
    label(job)
    write_rows(tmp_path, "a", " ", "c", "d")
    for relabel in (None, RelabelMode.CHANGED):
        summary = label(job, relabel=relabel)
        assert (summary.created, summary.changed, summary.labeled, summary.rejected) == (0, 1, 4, 0)
    assert len(list_tasks(api)) == 4


def test_relabel_changed_creates_one_new_task_per_changed_row(job: Job, tmp_path: Path, api: str) -> None:
    label(job)
    before = read_labels(tmp_path)
    write_rows(tmp_path, "a", "B", "C", "d", "e")
    summary = label(job, relabel=RelabelMode.CHANGED)
    assert (summary.created, summary.changed, summary.labeled, summary.rows) == (3, 0, 5, 5)
    assert adds_up(summary)
    after = read_labels(tmp_path)
    assert after.index.is_unique
    assert list(after["attachment"]) == ["a", "B", "C", "d", "e"]
    assert list(after.loc[["r0", "r3"], "task_id"]) == list(before.loc[["r0", "r3"], "task_id"])
    recorded = open_ledger(tmp_path)
    assert set(before["task_id"]) < set(recorded["task_id"]), "the old ones are kept"
    assert sorted(recorded["generation"]) == [0, 0, 0, 0, 0, 1, 1]
    again = label(job, relabel=RelabelMode.CHANGED)
    assert (again.created, again.recovered, again.changed) == (0, 0, 0)
    assert len(list_tasks(api)) == 7


def test_row_can_be_relabeled_repeatedly(job: Job, tmp_path: Path, api: str) -> None:
    for number, text in enumerate(("b", "B", "BB", "b")):
        write_rows(tmp_path, "a", text, "c", "d")
        summary = label(job, relabel=RelabelMode.CHANGED)
        assert summary.created == (1 if number else 4)
        assert read_labels(tmp_path).loc["r1", "attachment"] == text
    assert len(list_tasks(api)) == 7
    ids = [task.unique_id for task in list_tasks(api) if task.metadata["row_id"] == "r1"]
    assert len(set(ids)) == (4 if ids[0] else 1)


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_row_is_in_the_labels_once_while_its_new_task_is_pending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api_version: str
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_relabel")
    with running_staged(api=api_version) as sandbox:
        write_rows(tmp_path, "a", "b")
        job = make_job(tmp_path, scale={"url": sandbox.url, "mode": "live"}, collect={"poll_interval": "0.3s"})
        label(job, wait=False)
        sandbox.complete(2)
        assert label(job, wait=False).labeled == 2
        write_rows(tmp_path, "a", "B")
        summary = label(job, relabel=RelabelMode.CHANGED, wait=False)
        assert summary.pending == 1
        assert adds_up(summary)
        assert len(read_labels(tmp_path)) == summary.labeled
        sandbox.complete(1)
        assert label(job).labeled == 2
        assert list(read_labels(tmp_path)["attachment"]) == ["a", "B"]


def test_relabel_after_a_crash_recovers_the_created_task(job: Job, tmp_path: Path, api: str) -> None:
    label(job)
    write_rows(tmp_path, "a", "B", "c", "d")
    label(job, relabel=RelabelMode.CHANGED)
    recorded = open_ledger(tmp_path)
    started_at = recorded["created_at"].min().to_pydatetime()
    for part in (tmp_path / "out" / "_ledger" / "submissions").glob("*.parquet"):
        if pd.read_parquet(part)["generation"].max() == 1:
            part.unlink()
    for part in (tmp_path / "out" / "labels").glob("*.parquet"):
        part.unlink()
    abandon(tmp_path / "out", started_at)
    summary = label(job)
    assert (summary.created, summary.recovered, summary.changed, summary.labeled) == (0, 1, 0, 4)
    assert set(open_ledger(tmp_path)["task_id"]) == set(recorded["task_id"])
    assert len(list_tasks(api)) == 5
    assert not lease_files(tmp_path / "out")


def test_changed_row_with_an_unrecorded_task_is_not_resubmitted_unasked(job: Job, tmp_path: Path, api: str) -> None:
    label(job)
    started_at = open_ledger(tmp_path)["created_at"].min().to_pydatetime()
    for part in [*(tmp_path / "out" / "_ledger" / "submissions").glob("*"), *(tmp_path / "out" / "labels").glob("*")]:
        part.unlink()
    abandon(tmp_path / "out", started_at)
    write_rows(tmp_path, "a", "B", "c", "d")
    for _ in range(2):
        summary = label(job)
        assert (summary.created, summary.rejected, summary.labeled) == (0, 1, 3)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects")
    assert "has changed since its task" in rejects["reject_reason"][0]
    assert len(list_tasks(api)) == 4
    summary = label(job, relabel=RelabelMode.CHANGED)
    assert (summary.created, summary.rejected, summary.labeled) == (1, 0, 4)
    assert list(read_labels(tmp_path)["attachment"]) == ["a", "B", "c", "d"]
    assert len(open_ledger(tmp_path)) == len(list_tasks(api)) == 5, "the old one is kept in the ledger"


def test_max_tasks_counts_superseded_tasks(job: Job, tmp_path: Path, api: str) -> None:
    label(job)
    write_rows(tmp_path, "A", "B", "C", "D", "e")
    capped = make_job(tmp_path, scale={"url": api}, submit={"max_tasks": 6, "price_per_task": 2.0})
    preview = make_preview(capped, RelabelMode.CHANGED)
    assert (preview.create, preview.over_cap, preview.cost) == (2, 3, 4.0)
    summary = label(capped, relabel=RelabelMode.CHANGED, wait=False)
    assert (summary.created, summary.cost) == (2, 12.0)
    assert adds_up(summary)
    assert len(list_tasks(api)) == 6


def make_preview(job: Job, relabel: RelabelMode) -> Preview:
    with closing(Plan(job, relabel=relabel)) as plan:
        return plan.preview()


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_relabel_errors_resubmits_rows_without_a_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api_version: str
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_relabel")
    write_rows(tmp_path, *[f"text {number}" for number in range(60)])
    with running_in_process(api=api_version, faults="seed=3, error=30%") as url:
        job = make_job(tmp_path, scale={"url": url}, collect={"poll_interval": "0.5s"}, max_unlabeled="100%")
        first = label(job)
        failed = set(pd.read_parquet(tmp_path / "out" / "errors")["row_id"])
        assert 0 < first.error == len(failed) < 60
        kept = read_labels(tmp_path)
        second = label(job, relabel=RelabelMode.ERRORS)
        assert second.created == first.error
        assert second.error < first.error
        assert adds_up(second)
        after = read_labels(tmp_path)
        assert after.index.is_unique
        assert kept.equals(after.loc[kept.index])
        errors = tmp_path / "out" / "errors"
        still = set(pd.read_parquet(errors)["row_id"]) if list(errors.glob("*.parquet")) else set()
        assert len(still) == second.error
        assert set(after.index) | still == {f"r{number}" for number in range(60)}
        assert not set(after.index) & still
        assert len(list_tasks(url)) == 60 + first.error


def test_answers_to_a_superseded_task_are_not_restored_by_another_run(job: Job, tmp_path: Path, api: str) -> None:
    """A waiting run has an old ledger when another run relabels a row; its next pass reads the new one."""
    from labelflow.operations.label import LabelRun

    with closing(LabelRun(Plan(job))) as waiting:
        for chunk in waiting.plan.chunks():
            waiting.dispatcher.submit(chunk)
        waiting.finish_submission()
        write_rows(tmp_path, "a", "B", "c", "d")
        label(job, relabel=RelabelMode.CHANGED)
        waiting.collect()
        waiting.finish()
    after = read_labels(tmp_path)
    assert list(after["attachment"]) == ["a", "B", "c", "d"]


def test_carried_column_may_not_use_a_reserved_name(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"metadata": ["generation"]}
    with pytest.raises(ValueError, match="generation"):
        make_job(tmp_path, **changes)


def test_canceled_rows_get_a_new_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_relabel_canceled")
    write_rows(tmp_path, "a", "b", "c")
    with running_in_process(turnaround=3600) as url:
        prices = {"submit": {"price_per_task": 0.5}, "max_unlabeled": "100%"}
        job = make_job(tmp_path, scale={"url": url, "mode": "live"}, **prices)
        assert label(job, wait=False).cost == 1.5
        with closing(open_existing_job(job)) as opened:
            assert cancel(opened, ["r1"]).canceled == 1
        canceled = label(job, wait=False)
        assert (canceled.canceled, canceled.pending, canceled.cost) == (1, 2, 1.0)
        summary = label(job, wait=False, relabel=RelabelMode.CANCELED)
        assert (summary.created, summary.canceled, summary.pending) == (1, 0, 3)
        assert label(job, wait=False, relabel=RelabelMode.CANCELED).created == 0


def test_listed_rows_get_a_new_task_and_their_pending_task_is_canceled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_relabel_rows")
    write_rows(tmp_path, "a", "b", "c")
    again = tmp_path / "again.txt"
    again.write_text('r0\n "r2" \nno such row\n')
    with running_in_process(turnaround=3600) as url:
        job = make_job(tmp_path, scale={"url": url, "mode": "live"})
        label(job, wait=False)
        summary = label(job, wait=False, relabel=RelabelMode.ROWS, rows=str(again))
        assert (summary.created, summary.pending, adds_up(summary)) == (2, 3, True)
        with ScaleClient("live_relabel_rows", url) as client:
            tasks = list(client.list_tasks())
        status = {(task.metadata["row_id"], task.metadata.get("generation", 0)): task.status for task in tasks}
        assert status == {
            ("r0", 0): "canceled",
            ("r2", 0): "canceled",
            ("r0", 1): "pending",
            ("r2", 1): "pending",
            ("r1", 0): "pending",
        }
        assert not (tmp_path / "out" / "_ledger" / "relabel.json").exists()


def test_interrupted_relabeling_of_listed_rows_is_continued(
    job: Job, tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(job)
    again = tmp_path / "again.txt"
    again.write_text("r0\nr1\nr2\n")
    with monkeypatch.context() as crash:
        crash.setattr(LabelRun, "finish_submission", lambda _: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            label(job, relabel=RelabelMode.ROWS, rows=str(again))
    assert len(list_tasks(api)) == 7
    continued = label(job, relabel=RelabelMode.ROWS, rows=str(again))
    assert (continued.created, continued.labeled, len(list_tasks(api))) == (0, 4, 7)
    assert label(job, relabel=RelabelMode.ROWS, rows=str(again)).created == 3, "another request"


def test_cancellation_of_superseded_tasks_is_completed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_superseded")
    write_rows(tmp_path, "a", "b")
    with running_in_process(turnaround=3600) as url:
        job = make_job(tmp_path, scale={"url": url, "mode": "live"})
        label(job, wait=False)
        write_rows(tmp_path, "A", "b")
        with monkeypatch.context() as crash:
            crash.setattr("labelflow.operations.label.cancel_superseded", lambda _: None)
            label(job, wait=False, relabel=RelabelMode.CHANGED)
        with ScaleClient("live_superseded", url) as client:
            assert [task.status for task in client.list_tasks()] == ["pending"] * 3
            label(job, wait=False)
            assert sorted(task.status for task in client.list_tasks()) == ["canceled", "pending", "pending"]


@pytest.mark.parametrize("relabel", [None, RelabelMode.ERRORS, RelabelMode.ROWS])
def test_rows_file_and_its_mode_belong_together(job: Job, tmp_path: Path, relabel: RelabelMode | None) -> None:
    rows = None if relabel is RelabelMode.ROWS else str(tmp_path / "again.txt")
    with pytest.raises(InvalidInput, match="--rows: belongs to --relabel rows"):
        Plan(job, relabel=relabel, rows=rows)


def test_file_that_names_no_row_is_refused(job: Job, tmp_path: Path) -> None:
    label(job)
    (tmp_path / "again.txt").write_text("x\n")
    with pytest.raises(InvalidInput, match=r"again.txt: names no row that has a task"):
        Plan(job, relabel=RelabelMode.ROWS, rows=str(tmp_path / "again.txt"))
