"""Histories of a job: its manifest changes between runs, and every row of it is still accounted for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelflow.accounting.summary import Summary
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations.collect import collect_job
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.scale.client import ScaleClient
from tests.properties.conftest import case_folder, cases, time_limit
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

KEY = "test_histories"
SECONDS = 30.0  # for one history
IDS = [f"r{number}" for number in range(5)]


@dataclass(frozen=True)
class Line:
    """A line of the manifest. version: of its text; is_readable: whether it is UTF-8."""

    row_id: str
    version: int = 0
    is_readable: bool = True

    def encode(self) -> bytes:
        return f"{self.row_id},text {self.version}".encode() + (b"" if self.is_readable else b" \xff")


@dataclass(frozen=True)
class Step:
    """A manifest, and what is then done with it."""

    lines: list[Line]
    limit: int | None
    relabel: RelabelMode | None
    only_collect: bool


lines = st.builds(Line, st.sampled_from(IDS), st.integers(0, 1), st.sampled_from([True, True, False]))
steps = st.builds(
    Step,
    st.lists(lines, min_size=1, max_size=6),
    st.none() | st.integers(1, 6),
    st.none() | st.sampled_from(RelabelMode),
    st.booleans(),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_in_process() as url, mock.patch.dict(os.environ, {"SCALE_API_KEY": KEY}):
        yield url


@given(history=st.lists(steps, min_size=2, max_size=5))
@cases(40)
def test_every_row_is_accounted_for_whatever_the_manifest_was_before(url: str, history: list[Step]) -> None:
    with case_folder() as folder, time_limit(SECONDS):
        manifest = folder / "manifest.csv"
        name = f"job-{uuid.uuid4().hex[:12]}"
        job = make_job(folder, name=name, scale={"url": url}, max_unlabeled=1.0, manifest__uri=str(manifest))
        for number, step in enumerate(history):
            manifest.write_bytes(b"\n".join([b"id,text", *(line.encode() for line in step.lines)]) + b"\n")
            if step.only_collect and number:
                with closing(open_existing_job(job)) as opened:
                    collect_job(opened)
            else:
                check(job, step, run(job, step, folder / "again.txt"))
        if not any(step.relabel for step in history):
            check_one_task_per_row(url, name)


def run(job: Job, step: Step, again: Path) -> Summary:
    """Label as the step says. again: the rows that `--relabel rows` lists; without a task of theirs, a run is plain."""
    again.write_text("\n".join(IDS[:3]))
    is_listed = step.relabel is RelabelMode.ROWS
    try:
        return label(job, limit=step.limit, relabel=step.relabel, rows=str(again) if is_listed else None)
    except InvalidInput as error:
        if not is_listed or "names no row that has a task" not in str(error):
            raise
        return label(job, limit=step.limit)


def check(job: Job, step: Step, summary: Summary) -> None:
    """Check that the counts are those of the manifest and of the files. `label` checks that they add up."""
    readable = [line.row_id for line in step.lines if line.is_readable]
    assert summary.rows == len(step.lines)
    assert summary.rejected == len(step.lines) - len(set(readable)) - beyond_limit_and_unreadable(step)
    labels = read_row_ids(Path(job.output) / "labels")
    assert len(labels) == len(set(labels)) == summary.labeled + summary.removed


def beyond_limit_and_unreadable(step: Step) -> int:
    """Unreadable lines beyond `--limit` are not known to be invalid: they count as not submitted."""
    return sum(not line.is_readable for line in step.lines[step.limit :]) if step.limit else 0


def read_row_ids(folder: Path) -> list[str]:
    return [str(row_id) for path in folder.glob("*.parquet") for row_id in pq.read_table(path)["row_id"].to_pylist()]


def check_one_task_per_row(url: str, job: str) -> None:
    with ScaleClient(KEY, url) as client:
        row_ids = [task.metadata["row_id"] for task in client.list_tasks() if task.metadata["job"] == job]
    assert len(row_ids) == len(set(row_ids))
