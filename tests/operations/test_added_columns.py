"""A column is added to `metadata` after tasks were created: labels get it, and no row is labeled twice."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.errors import InvalidInput, RunAborted
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.context import open_existing_job
from labelflow.operations.cancel import cancel
from labelflow.operations.collect import collect_job
from labelflow.storage.local import LocalFolder
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import StagedSandbox, running_staged


def create_job(folder: Path, url: str, rows: int, metadata: list[str]) -> Job:
    lines = [{"id": f"r{number}", "text": f"text {number}", "n": number, "city": "Berlin"} for number in range(rows)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return make_job(folder, metadata=metadata, scale={"url": url, "mode": "live"}, max_unlabeled="100%")


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_columns")


def submit_then_add(folder: Path, sandbox: StagedSandbox) -> Job:
    """A job of four rows, of which one is labeled, one is canceled and two are pending, then of five and a column."""
    first = create_job(folder, sandbox.url, 4, ["n"])
    label(first, wait=False)
    with closing(open_existing_job(first)) as job:
        assert cancel(job, ["r1"]).canceled == 1
        sandbox.complete(1)
        collect_job(job)
    return create_job(folder, sandbox.url, 5, ["city", "n"])


def read(folder: Path, name: str) -> dict[str, Any]:
    """The `source` of each row below labels/ or errors/."""
    table = pd.read_parquet(folder / "out" / name)
    return dict(zip(table["row_id"], table["source"], strict=True))


def test_column_is_added_and_rows_keep_their_tasks(tmp_path: Path) -> None:
    with running_staged() as sandbox:
        job = submit_then_add(tmp_path, sandbox)
        summary = label(job, wait=False)
        sandbox.complete(9)
        with closing(open_existing_job(job)) as opened:
            done = collect_job(opened)
    assert (summary.created, summary.changed, summary.pending) == (1, 0, 3)
    assert done.is_complete
    labels = read(tmp_path, "labels")
    assert [labels[row]["city"] for row in ("r0", "r2", "r3", "r4")] == [None, None, None, "Berlin"]
    assert [labels[row]["n"] for row in ("r0", "r2", "r3", "r4")] == [0, 2, 3, 4]
    assert read(tmp_path, "errors") == {"r1": {"id": "r1", "n": 1, "city": None}}
    query = f"select count(source.city) from '{tmp_path}/out/labels/*.parquet'"
    assert duckdb.connect().execute(query).fetchall() == [(1,)]
    assert job_record.added_columns(LocalFolder(str(tmp_path / "out"))) == []
    assert len(pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions" / "", columns=["row_id"])) == 5


def test_files_get_the_column_although_the_run_that_added_it_was_killed(tmp_path: Path) -> None:
    with running_staged() as sandbox:
        job = submit_then_add(tmp_path, sandbox)
        folder = LocalFolder(str(tmp_path / "out"))
        before = folder.read(job_record.JOB)
        label(job, wait=False)
        extended = folder.read(job_record.JOB)
        assert before is not None
        assert extended is not None
        folder.write(job_record.ADDED_COLUMNS, b'["id", "n", "city"]')
        folder.write(job_record.JOB, before)  # killed after the first of the two files
        assert label(job, wait=False).created == 0
        assert folder.read(job_record.JOB) == extended
    schemas = {str(pq.read_schema(path)) for path in (tmp_path / "out" / "labels").glob("*.parquet")}
    assert len(schemas) == 1
    assert "city" in schemas.pop()


def test_pass_that_was_opened_before_does_not_write_files_without_the_column(tmp_path: Path) -> None:
    with running_staged() as sandbox:
        first = create_job(tmp_path, sandbox.url, 4, ["n"])
        label(first, wait=False)
        with closing(open_existing_job(first)) as opened_before:
            folder = LocalFolder(str(tmp_path / "out"))
            job_record.extend(
                folder,
                create_job(tmp_path, sandbox.url, 4, ["n", "city"]),
                pa.struct([*opened_before.ledger.source_type, pa.field("city", pa.string())]),
            )
            sandbox.complete(2)
            with pytest.raises(RunAborted, match="another run has added columns to the job; run this command again"):
                collect_job(opened_before)


def test_column_cannot_be_removed(tmp_path: Path) -> None:
    with running_staged() as sandbox:
        label(create_job(tmp_path, sandbox.url, 2, ["n", "city"]), wait=False)
        with pytest.raises(InvalidInput, match=r"restore manifest\.row_id and metadata, to which columns may be added"):
            label(create_job(tmp_path, sandbox.url, 2, ["n"]), wait=False)
