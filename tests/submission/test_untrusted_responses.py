"""One task per row although responses are lost, mixed up, or followed by refusals: nothing in them is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from labelflow.jobs.job import Job
from tests.conftest import StubServer
from tests.submission.test_submitter import ROWS, CreationFault, FaultyApi
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.stale_leases import lease_files

JobFactory = Callable[..., Job]


@pytest.fixture
def job_factory(tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> JobFactory:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    write_rows(tmp_path, [f"r{number}" for number in range(ROWS)])
    return lambda **changes: make_job(
        tmp_path, **{"scale": {"url": stub_server.url}, "submit": {"concurrency": 4}, **changes}
    )


def write_rows(folder: Path, row_ids: list[str]) -> None:
    rows = [{"id": row_id, "text": f"text {number}"} for number, row_id in enumerate(row_ids)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def recorded_tasks(folder: Path) -> dict[str, str]:
    """The task of each row, by the ledger."""
    table = pd.read_parquet(folder / "out" / "_ledger" / "submissions")
    return dict(zip(table["row_id"], table["task_id"], strict=True))


def server_tasks(api: FaultyApi) -> dict[str, str]:
    return {task["metadata"]["row_id"]: task["task_id"] for task in api.tasks}


@pytest.mark.parametrize("cap", [None, ROWS // 2])
def test_task_id_in_a_row_id_is_not_taken_for_the_holder_of_its_unique_id(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path, cap: int | None
) -> None:
    numbers = [number for pair in range(1, ROWS, 2) for number in (pair + 1, pair)]  # the ids of other rows' tasks
    write_rows(tmp_path, [f"frame ({number:024x}).jpg" for number in numbers])
    lost = CreationFault(creates_task=True, response=None)
    api = FaultyApi(stub_server, True, lambda number, _: lost if number % 3 == 1 else None)
    job = job_factory(submit={"concurrency": 4, "max_tasks": cap})
    for _ in range(3):
        summary = label(job)
        assert (summary.rejected, summary.labeled) == (0, cap or ROWS)
    assert len(api.tasks) == (cap or ROWS)
    assert recorded_tasks(tmp_path) == server_tasks(api)
    assert not lease_files(tmp_path / "out")
