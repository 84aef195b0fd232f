"""Whole runs against the sandbox: counts that add up, nothing created twice, data that joins back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from labelflow.errors import InvalidInput, TooManyUnlabeled
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.scale.client import ScaleClient
from labelflow.scale.models import Task
from labelflow.storage import s3
from labelflow.submission import reconciliation
from labelflow.tables.schemas import SCHEMA_VERSION
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process, running_staged
from tests.support.stale_leases import abandon, lease_files

OUTCOMES = ("labeled", "rejected", "error", "canceled", "pending")


@pytest.fixture(scope="module", params=["current", "2017"])
def api(request: pytest.FixtureRequest) -> Iterator[str]:
    with running_in_process(api=request.param) as url:
        yield url


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A key of its own for each test: the sandbox keeps keys apart."""
    made = f"test_{abs(hash(request.node.nodeid)):x}"
    monkeypatch.setenv("SCALE_API_KEY", made)
    return made


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"{number:05}", "text": f"text {number}", "n": number} for number in range(start, start + count)]


def list_tasks(url: str, key: str) -> list[Task]:
    with ScaleClient(key, url) as client:
        return list(client.list_tasks())


def create_job(tmp_path: Path, api: str, **changes: Any) -> Job:
    defaults = {"scale": {"url": api}, "collect": {"poll_interval": "0.5s"}, "metadata": ["n"]}
    return make_job(tmp_path, **{**defaults, **changes})


def test_every_row_is_accounted_for_and_a_second_run_creates_nothing(tmp_path: Path, api: str, key: str) -> None:
    manifest = make_rows(250)
    manifest[7]["text"] = ""
    manifest[100]["id"] = manifest[99]["id"]
    manifest[200]["id"] = None
    write_rows(tmp_path / "manifest.jsonl", manifest)
    job = create_job(tmp_path, api)

    first = label(job)
    assert (first.rows, first.labeled, first.rejected, first.pending) == (250, 247, 3, 0)
    assert first.created == 247
    second = label(job)
    assert (second.created, second.recovered, second.labeled, second.rejected) == (0, 0, 247, 3)

    tasks = list_tasks(api, key)
    assert len(tasks) == 247
    assert len({task.metadata["row_id"] for task in tasks}) == 247

    labels = pd.read_parquet(tmp_path / "out" / "labels")
    rejects = pd.read_parquet(tmp_path / "out" / "rejects")
    assert sorted([*labels["row_id"], *rejects["id"].dropna()]) == sorted(row["id"] for row in manifest if row["id"])
    assert labels["row_id"].is_unique
    assert list(rejects["reject_row"]) == [8, 101, 201]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sum(summary[name] for name in OUTCOMES) == summary["rows"] == 250


def test_grown_manifest_gets_tasks_for_its_new_rows_only(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(30))
    job = create_job(tmp_path, api)
    label(job)
    write_rows(tmp_path / "manifest.jsonl", [*make_rows(20, start=100), *make_rows(30)])
    grown = label(job)
    assert (grown.created, grown.labeled, grown.rows) == (20, 50, 50)
    assert len(list_tasks(api, key)) == 50
    files = list((tmp_path / "out" / "labels").glob("*.parquet"))
    assert len(files) == 1, "once a job is through, its files are large"
    assert pd.read_parquet(files[0])["row_id"].is_unique


def test_rows_removed_from_the_manifest_keep_their_labels(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(10))
    job = create_job(tmp_path, api)
    label(job)
    write_rows(tmp_path / "manifest.jsonl", make_rows(4))
    summary = label(job)
    assert (summary.rows, summary.labeled, summary.removed) == (4, 4, 6)
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == 10


def test_rejects_file_is_a_valid_manifest(tmp_path: Path, api: str, key: str) -> None:
    manifest = make_rows(10)
    manifest[3]["text"] = " "
    write_rows(tmp_path / "manifest.jsonl", manifest)
    label(create_job(tmp_path, api))
    rejects = tmp_path / "out" / "rejects" / "rejects.parquet"
    corrected = pd.read_parquet(rejects)
    corrected["text"] = "no longer empty"
    corrected.to_parquet(tmp_path / "corrected.parquet")
    summary = label(create_job(tmp_path, api, manifest={"uri": str(tmp_path / "corrected.parquet"), "row_id": "id"}))
    assert (summary.rows, summary.created, summary.labeled) == (10, 1, 10)
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == 10


def test_rejects_file_still_to_be_processed_is_not_overwritten(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", [{**row, "text": " "} for row in make_rows(4)])
    label(create_job(tmp_path, api))
    rejects = tmp_path / "out" / "rejects" / "rejects.parquet"
    corrected = pd.read_parquet(rejects)
    corrected["text"] = "corrected"
    corrected.to_parquet(rejects)
    job = create_job(tmp_path, api, manifest={"uri": str(rejects), "row_id": "id"})
    assert label(job, limit=1, wait=False).created == 1
    assert len(pd.read_parquet(rejects)) == 4
    assert label(job).labeled == 4
    assert not rejects.exists()


def test_limit_and_max_tasks_leave_the_rest_pending(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(50))
    tried = label(create_job(tmp_path, api), limit=10, wait=False)
    assert (tried.rows, tried.created, tried.not_submitted) == (50, 10, 40)
    capped = label(create_job(tmp_path, api, submit={"max_tasks": 25}), wait=False)
    assert (capped.created, capped.not_submitted) == (15, 25)
    assert len(list_tasks(api, key)) == 25
    assert label(create_job(tmp_path, api)).labeled == 50


def test_exceeding_max_unlabeled_stops_the_submission(tmp_path: Path, api: str, key: str) -> None:
    manifest = [{**row, "text": " " if row["n"] % 10 == 0 else "x"} for row in make_rows(3000)]
    write_rows(tmp_path / "manifest.jsonl", manifest)
    with pytest.raises(TooManyUnlabeled, match=r"100 of the first 1,000 rows were rejected") as caught:
        label(create_job(tmp_path, api, max_unlabeled="9%"))
    assert str(tmp_path / "out" / "rejects") in str(caught.value)
    assert list_tasks(api, key) == []
    assert label(create_job(tmp_path, api, max_unlabeled="10%")).labeled == 2700


def test_max_unlabeled_is_not_enforced_on_few_rows(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", [{"id": number, "text": " " if number else "x"} for number in range(499)])
    assert label(create_job(tmp_path, api, metadata=[])).created == 1


def test_crash_before_the_ledger_write_creates_no_duplicate(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(40))
    job = create_job(tmp_path, api)
    label(job)
    ledger = tmp_path / "out" / "_ledger"
    started_at = min(task.created_at for task in list_tasks(api, key) if task.created_at)
    for part in [*ledger.glob("submissions/*"), *(tmp_path / "out" / "labels").glob("*")]:
        part.unlink()
    abandon(tmp_path / "out", started_at)
    summary = label(job)
    assert (summary.created, summary.recovered, summary.labeled) == (0, 40, 40)
    assert len(list_tasks(api, key)) == 40
    assert not lease_files(tmp_path / "out")


def test_changed_row_is_reported_and_left_alone(tmp_path: Path, key: str) -> None:
    with running_in_process() as url:
        write_rows(tmp_path / "manifest.jsonl", make_rows(5))
        job = create_job(tmp_path, url)
        label(job)
        for part in (tmp_path / "out" / "_ledger" / "submissions").glob("*"):
            part.unlink()
        changed = make_rows(5)
        changed[2]["text"] = "something else"
        write_rows(tmp_path / "manifest.jsonl", changed)
        summary = label(job)
        assert (summary.created, summary.recovered, summary.rejected) == (0, 4, 1)
        rejects = pd.read_parquet(tmp_path / "out" / "rejects")
        assert "has changed since its task" in rejects["reject_reason"][0]
        assert len(list_tasks(url, key)) == 5


def test_pandas_duckdb_polars_and_pyarrow_read_the_same_labels(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(120))
    label(create_job(tmp_path, api))
    pattern = str(tmp_path / "out" / "labels" / "*.parquet")
    by_pandas = list(pd.read_parquet(tmp_path / "out" / "labels").sort_values("row_id")["row_id"])
    query = "select row_id, category[1], source.n from read_parquet(?) order by row_id"
    by_duckdb = duckdb.execute(query, [pattern]).fetchall()
    by_polars = pl.read_parquet(pattern).sort("row_id")
    assert by_pandas == [row[0] for row in by_duckdb] == by_polars["row_id"].to_list()
    assert [row[2] for row in by_duckdb] == list(range(120))
    assert {row[1] for row in by_duckdb} <= {"a", "b"}
    metadata = pq.read_schema(next((tmp_path / "out" / "labels").glob("*.parquet"))).metadata
    assert metadata[b"labelflow.schema_version"].decode() == SCHEMA_VERSION


def test_canceled_task_becomes_an_errors_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_cancel")
    with running_staged() as sandbox:
        write_rows(tmp_path / "manifest.jsonl", make_rows(6))
        job = create_job(tmp_path, sandbox.url, scale={"url": sandbox.url, "mode": "live"})
        waiting = label(job, wait=False)
        assert (waiting.created, waiting.pending) == (6, 6)
        with ScaleClient("live_cancel", sandbox.url) as client:
            canceled = client.cancel_task(next(client.list_tasks()).task_id)
        sandbox.complete(5)
        summary = label(job)
        assert (summary.labeled, summary.canceled, summary.pending) == (5, 1, 0)
        errors = pd.read_parquet(tmp_path / "out" / "errors")
        assert list(errors["task_id"]) == [canceled.task_id]
        assert list(errors["status"]) == ["canceled"]


def test_output_in_s3(tmp_path: Path, api: str, key: str, bucket: Bucket) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(60))
    s3.put_file(bucket.uri("in/manifest.jsonl"), tmp_path / "manifest.jsonl")
    output = bucket.uri("out")
    job = create_job(tmp_path, api, manifest={"uri": bucket.uri("in/manifest.jsonl"), "row_id": "id"}, output=output)
    assert label(job).labeled == 60
    assert label(job).created == 0
    names = [info.key.split("/", 1)[1] for info in s3.list_keys(f"{output}/")]
    assert "summary.json" in names
    assert sum(name.startswith("labels/") for name in names) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "other"}, "holds the job 'job'"),
        ({"metadata": []}, "restore manifest.row_id and metadata"),
        ({"output": "gs://bucket/prefix"}, "neither a path nor an s3:// URI"),
        ({"manifest": {"uri": "nowhere.jsonl", "row_id": "id"}}, "no such file"),
        ({"scale": {"url": "http://127.0.0.1:9/v1"}}, "no connection to http://127.0.0.1:9"),
    ],
)
def test_job_that_cannot_run_changes_nothing(
    tmp_path: Path, api: str, key: str, changes: dict[str, Any], words: str
) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(3))
    label(create_job(tmp_path, api))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(InvalidInput, match=words):
        label(create_job(tmp_path, api, **changes))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_task_with_other_columns_needs_another_output(tmp_path: Path, api: str, key: str) -> None:
    write_rows(tmp_path / "manifest.jsonl", make_rows(2))
    task = {"type": "datacollection", "instruction": "?", "attachment_type": "text", "attachment": "{text}"}
    label(create_job(tmp_path, api, task={**task, "fields": {"a": "A?"}}))
    with pytest.raises(InvalidInput, match="restore the task's fields"):
        label(create_job(tmp_path, api, task={**task, "fields": {"a": "A?", "b": "B?"}}))


@pytest.mark.parametrize("value", [{}, [{}], [], None])
def test_carried_value_without_a_type_becomes_text(tmp_path: Path, api: str, key: str, value: Any) -> None:
    write_rows(tmp_path / "manifest.jsonl", [{**row, "n": value} for row in make_rows(3)])
    assert label(create_job(tmp_path, api)).labeled == 3


def test_two_concurrent_runs_leave_no_duplicate_row(tmp_path: Path, key: str) -> None:
    with running_in_process() as url:
        job = create_job(tmp_path, url)
        write_rows(tmp_path / "manifest.jsonl", make_rows(20))
        with closing(LabelRun(Plan(job))) as first:
            for chunk in first.plan.chunks():
                first.dispatcher.submit(chunk)
            write_rows(tmp_path / "manifest.jsonl", make_rows(40))
            with closing(LabelRun(Plan(job))) as second:
                for chunk in second.plan.chunks():
                    second.dispatcher.submit(chunk)
                while first.pending or second.pending:
                    first.collect()
                    second.collect()
                first.finish()
                assert second.finish().labeled == 40
        labels = pd.read_parquet(tmp_path / "out" / "labels")
        assert sorted(labels["row_id"]) == [row["id"] for row in make_rows(40)]
        assert len(list_tasks(url, key)) == 40


def test_unknown_key_ends_the_run_before_anything_is_written(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "nobody")
    write_rows(tmp_path / "manifest.jsonl", make_rows(3))
    with pytest.raises(InvalidInput, match="rejected the key"):
        label(create_job(tmp_path, api, scale={"url": api, "mode": "live"}))
    assert not (tmp_path / "out").exists()


def test_max_tasks_holds_after_a_crash_with_a_lagging_list(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reconciliation, "LISTING_LAG", 2.5)
    with running_in_process(faults="lag=2s") as url:
        job = create_job(tmp_path, url, submit={"max_tasks": 20})
        write_rows(tmp_path / "manifest.jsonl", make_rows(20))
        with monkeypatch.context() as crash:
            crash.setattr(Ledger, "record", die)  # the server has the tasks, the ledger has not
            with pytest.raises(KeyboardInterrupt):
                label(job)
        write_rows(tmp_path / "manifest.jsonl", [*make_rows(20, start=100), *make_rows(20)])
        label(job)
        label(job)
        tasks = list_tasks(url, key)
    assert len(tasks) == 20
    assert set(pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")["task_id"]) == {t.task_id for t in tasks}


def test_signature_from_the_manifest_is_in_no_file(tmp_path: Path, api: str, key: str) -> None:
    signed = "https://bucket.invalid/a.png?X-Amz-Expires=60&X-Amz-Signature=5ec4e7&v=2"
    manifest = [{"id": f"r{n}", "url": signed, "text": text, "seen": [signed]} for n, text in enumerate(["ok", " "])]
    write_rows(tmp_path / "manifest.jsonl", manifest)
    task = {"type": "datacollection", "instruction": "{text}", "attachment_type": "image", "attachment": "{url}"}
    fields = {"fields": {"color": "Which color?"}}
    job = create_job(tmp_path, api, task={**task, **fields}, metadata=["url", "seen"], attachments={"check": "off"})
    summary = label(job)
    assert summary.rows == 2
    files = list((tmp_path / "out").rglob("*.parquet"))
    assert {path.parent.name for path in files} >= {"rejects", "submissions"}
    for path in files:
        assert "5ec4e7" not in str(pq.read_table(path).to_pylist()), path
    assert "https://bucket.invalid/a.png?v=2" in str(pq.read_table(tmp_path / "out" / "rejects").to_pylist())
