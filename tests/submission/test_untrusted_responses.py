"""One task per row although responses are lost, mixed up, or followed by refusals: nothing in them is trusted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from labelflow.accounting.summary import CountMismatch
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations.collect import collect_job
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.submission import submitter
from tests.conftest import StubServer
from tests.submission.test_submitter import ROWS, CreationFault, FaultyApi
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.stale_leases import lease_files

JobFactory = Callable[..., Job]

LOST = CreationFault(creates_task=True, response=None)
REFUSED = CreationFault(creates_task=False, response=(400, {"error": "the batch is closed"}, {}))


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
    api = FaultyApi(stub_server, True, lambda number, _: LOST if number % 3 == 1 else None)
    job = job_factory(submit={"concurrency": 4, "max_tasks": cap})
    for _ in range(3):
        summary = label(job)
        assert (summary.rejected, summary.labeled) == (0, cap or ROWS)
    assert len(api.tasks) == (cap or ROWS)
    assert recorded_tasks(tmp_path) == server_tasks(api)
    assert not lease_files(tmp_path / "out")


@pytest.mark.parametrize("supports_unique_id", [True, False], ids=["current", "2017"])
@pytest.mark.parametrize("cap", [None, ROWS // 2])
def test_refusal_after_a_lost_response_leaves_the_outcome_unknown(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path, supports_unique_id: bool, cap: int | None
) -> None:
    attempts: Counter[str] = Counter()

    def fault(_: int, request: dict[str, Any]) -> CreationFault | None:
        row_id = request["metadata"]["row_id"]
        attempts[row_id] += 1
        if int(row_id[1:]) % 3:
            return None
        return LOST if attempts[row_id] == 1 else REFUSED

    class Hiding(FaultyApi):  # its listing does not show the new tasks yet
        hides = True

        def _list(self, query: dict[str, list[str]]) -> Any:
            if self.hides and ("unique_id" in query or "start_time" in query):
                return 200, {"docs": [], "total": 0, "has_more": False}, {}
            return super()._list(query)

    api = Hiding(stub_server, supports_unique_id, fault)
    job = job_factory(submit={"concurrency": 4, "max_tasks": cap})
    first = label(job, wait=False)
    expected = cap or ROWS
    assert (first.rejected, first.outcome_unknown, len(api.tasks)) == (0, expected // 3, expected)
    assert lease_files(tmp_path / "out"), "the next run reconciles"
    api.hides = False
    second = label(job)
    assert (second.rejected, second.outcome_unknown, second.labeled, len(api.tasks)) == (0, 0, expected, expected)
    assert recorded_tasks(tmp_path) == server_tasks(api)
    assert not lease_files(tmp_path / "out")


def test_task_behind_a_refusal_is_found_at_once_by_its_unique_id(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path
) -> None:
    attempts: Counter[str] = Counter()

    def fault(_: int, request: dict[str, Any]) -> CreationFault | None:
        attempts[request["unique_id"]] += 1
        return LOST if attempts[request["unique_id"]] == 1 else REFUSED

    api = FaultyApi(stub_server, True, fault)
    summary = label(job_factory())
    assert (summary.labeled, summary.rejected, len(api.tasks)) == (ROWS, 0, ROWS)
    assert recorded_tasks(tmp_path) == server_tasks(api)


def test_search_for_a_lost_task_that_fails_does_not_reject_its_row(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path
) -> None:
    class Refusing(FaultyApi):
        refuses = True

        def _list(self, query: dict[str, list[str]]) -> Any:
            if self.refuses and "start_time" in query and "status" not in query:
                return 400, {"error": "start_time: no"}, {}
            return super()._list(query)

    api = Refusing(stub_server, False, lambda number, _: LOST if number == 3 else None)
    first = label(job_factory(), wait=False)
    assert (first.rejected, first.outcome_unknown, len(api.tasks)) == (0, 1, ROWS)
    api.refuses = False
    assert (label(job_factory()).labeled, len(api.tasks)) == (ROWS, ROWS)


class SwappingApi(FaultyApi):
    """An API behind a gateway that answers some creations with the response to an earlier one."""

    def __init__(self, stub_server: StubServer, supports_unique_id: bool, swapped: set[str]) -> None:
        super().__init__(stub_server, supports_unique_id, lambda *_: None)
        self.swapped = swapped
        self._earlier: Any = None

    def _create(self, request: dict[str, Any]) -> Any:
        response = super()._create(request)
        if request["metadata"]["row_id"] in self.swapped and self._earlier:
            return self._earlier
        self._earlier = response
        return response


@pytest.mark.parametrize("supports_unique_id", [True, False], ids=["current", "2017"])
def test_response_about_another_row_is_never_recorded(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path, supports_unique_id: bool
) -> None:
    api = SwappingApi(stub_server, supports_unique_id, {"r3", "r4", "r9"})
    job = job_factory(submit={"concurrency": 1})
    first = label(job, wait=False)
    assert (first.outcome_unknown, first.rejected, first.created, len(api.tasks)) == (3, 0, ROWS - 3, ROWS)
    assert lease_files(tmp_path / "out")
    api.swapped = set()
    second = label(job)
    assert (second.labeled, second.recovered, len(api.tasks)) == (ROWS, 3, ROWS)
    assert recorded_tasks(tmp_path) == server_tasks(api)
    labels = pd.read_parquet(tmp_path / "out" / "labels")
    assert dict(zip(labels["row_id"], labels["task_id"], strict=True)) == server_tasks(api)


@pytest.mark.parametrize("changes", [{"fingerprint": "0"}, {"job": "other"}, {"row_id": "r"}, {"generation": 1}])
def test_response_with_other_metadata_than_sent_is_invalid(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path, changes: dict[str, Any]
) -> None:
    class Altering(FaultyApi):
        def _create(self, request: dict[str, Any]) -> Any:
            status, task, headers = super()._create(request)  # type: ignore[misc]
            if request["metadata"]["row_id"] == "r5":
                task = {**task, "metadata": {**task["metadata"], **changes}}
            return status, task, headers

    Altering(stub_server, True, lambda *_: None)
    summary = label(job_factory(), wait=False)
    assert (summary.outcome_unknown, summary.created) == (1, ROWS - 1)
    assert "r5" not in recorded_tasks(tmp_path)


def test_row_whose_unique_id_has_a_hidden_holder_is_rejected_by_name(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path
) -> None:
    conflict = CreationFault(False, (409, {"error": f"is already used ({0xABC:024x})."}, {}))
    api = FaultyApi(stub_server, True, lambda _, request: conflict if request["unique_id"] == "job/r5" else None)
    for _ in range(2):
        summary = label(job_factory())
        assert (summary.labeled, summary.rejected, summary.outcome_unknown) == (ROWS - 1, 1, 0)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects")
    assert list(rejects["reject_row"]) == [6]
    assert "the API reports a task with the unique_id 'job/r5', but lists none" in rejects["reject_reason"][0]
    assert len(api.tasks) == ROWS - 1
    assert not lease_files(tmp_path / "out")


def test_row_with_a_lost_response_and_a_hidden_holder_is_left_to_the_next_run(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path
) -> None:
    class Hiding(FaultyApi):
        hides = True

        def _list(self, query: dict[str, list[str]]) -> Any:
            status, page, headers = super()._list(query)
            return status, ({"docs": [], "total": 0} if self.hides and "unique_id" in query else page), headers

    api = Hiding(stub_server, True, lambda number, _: LOST if number == 3 else None)
    first = label(job_factory(), wait=False)
    assert (first.outcome_unknown, first.rejected) == (1, 0)
    api.hides = False
    second = label(job_factory())
    assert (second.recovered, second.labeled, len(api.tasks)) == (1, ROWS, ROWS)
    assert not lease_files(tmp_path / "out")


def test_relabeled_row_and_a_row_named_like_its_next_generation_both_get_tasks(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path
) -> None:
    api = FaultyApi(stub_server, True, lambda *_: None)
    write_rows(tmp_path, ["p.jpg", "p.jpg#1"])
    label(job_factory())
    rows = [{"id": "p.jpg", "text": "changed"}, {"id": "p.jpg#1", "text": "text 1"}]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = label(job_factory(), relabel=RelabelMode.CHANGED)
    assert (summary.labeled, summary.rejected, summary.created) == (2, 0, 1)
    assert sorted(task["unique_id"] for task in api.tasks) == ["job#1/p.jpg", "job/p.jpg", "job/p.jpg#1"]


def test_summary_is_checked_against_the_rows_of_the_files(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitter, "check_created", lambda *_: None)
    SwappingApi(stub_server, True, {"r3", "r4", "r9"})
    job = job_factory(submit={"concurrency": 1})
    message = f"{ROWS - 3} rows, with answers to {ROWS - 3} tasks and for {ROWS} rows of the ledger"
    with pytest.raises(CountMismatch, match=message):
        label(job)
    with closing(open_existing_job(job)) as existing, pytest.raises(CountMismatch, match=message):
        collect_job(existing)


def test_row_that_is_twice_in_the_files_is_a_count_mismatch(
    stub_server: StubServer, job_factory: JobFactory, tmp_path: Path
) -> None:
    class Slow(FaultyApi):
        def _create(self, request: dict[str, Any]) -> Any:
            response = super()._create(request)
            if request["metadata"]["row_id"] == "r5":  # or the files would be compacted
                self.tasks[-1]["status"] = "pending"
            return response

    Slow(stub_server, True, lambda *_: None)
    label(job_factory(), wait=False)
    label(job_factory(), wait=False)  # finds nothing wrong
    part = next((tmp_path / "out" / "labels").glob("*.parquet"))
    pq.write_table(pq.read_table(part).slice(0, 1), part.with_name("part-copy.parquet"))
    with pytest.raises(CountMismatch, match=f"{ROWS} rows, with answers to {ROWS - 1} tasks"):
        label(job_factory(), wait=False)
