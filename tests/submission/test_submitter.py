"""One task per row, whatever the network and the server do. Each fault with both API versions, over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from labelflow.jobs.job import Job
from labelflow.scale.errors import ScaleError, Unauthorized
from tests.conftest import StubServer
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.stale_leases import lease_files

ROWS = 12


class CreationFault:
    """What a fault does to a creation: whether it creates the task, and what the client receives (None: nothing)."""

    def __init__(self, creates_task: bool, response: tuple[int, Any, dict[str, str]] | None) -> None:
        self.creates_task = creates_task
        self.response = response


Fault = Callable[[int, dict[str, Any]], CreationFault | None]


class FaultyApi:
    """A small API with room for faults: `fault(n, request)` is asked at the n-th creation, counted from 1."""

    def __init__(self, stub_server: StubServer, supports_unique_id: bool, fault: Fault) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.creations = 0
        self._supports_unique_id = supports_unique_id
        self._fault = fault
        self._lock = threading.Lock()
        stub_server.respond = self.respond

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]] | None:
        with self._lock:
            if method == "POST":
                return self._create(json.loads(body))
            if "/tasks" in path:
                return self._list(parse_qs(urlsplit(path).query))
            found = [task for task in self.tasks if task["task_id"] == path.rsplit("/", 1)[1]]
            return (200, found[0], {}) if found else (404, {"error": "There is none."}, {})

    def _create(self, request: dict[str, Any]) -> tuple[int, Any, dict[str, str]] | None:
        self.creations += 1
        fault = self._fault(self.creations, request)
        if fault and not fault.creates_task:
            return fault.response
        existing = [
            task for task in self.tasks if self._supports_unique_id and task.get("unique_id") == request["unique_id"]
        ]
        if existing:
            error = f'The unique_id ("{request["unique_id"]}") is already used for a different task'
            return 409, {"status_code": 409, "error": f"{error} ({existing[0]['task_id']})."}, {}
        task = {
            "task_id": f"{len(self.tasks) + 1:024x}",
            "type": "categorization",
            "status": "completed",
            "created_at": pd.Timestamp.now("UTC").isoformat(),
            "completed_at": pd.Timestamp.now("UTC").isoformat(),
            "metadata": request["metadata"],
            "response": {"category": "a"},
            **({"unique_id": request["unique_id"]} if self._supports_unique_id else {}),
        }
        self.tasks.append(task)
        return fault.response if fault else (200, {**task, "status": "pending"}, {})

    def _list(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        if self._supports_unique_id and "contract" in query:
            return 400, {"error": "There is no parameter `contract`."}, {}
        docs = [task for task in reversed(self.tasks) if query.get("status", ["completed"])[0] == task["status"]]
        if self._supports_unique_id and "unique_id" in query:
            docs = [task for task in docs if task["unique_id"] in query["unique_id"]]
        return 200, {"docs": docs, "total": len(docs), "has_more": False}, {}


@pytest.fixture
def job(tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(ROWS)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make_job(tmp_path, scale={"url": stub_server.url}, submit={"concurrency": 4})


def on_every_third(fault: CreationFault) -> Fault:
    return lambda number, request: fault if number % 3 == 1 else None


FAULTS = {
    "dropped before": CreationFault(creates_task=False, response=None),
    "dropped after": CreationFault(creates_task=True, response=None),
    "500 before": CreationFault(creates_task=False, response=(500, {"error": "oops"}, {})),
    "503 after": CreationFault(creates_task=True, response=(503, b"<html>", {})),
    "429": CreationFault(creates_task=False, response=(429, {"error": "slow down"}, {"Retry-After": "0"})),
    "broken JSON after": CreationFault(creates_task=True, response=(200, b'{"task_id": "', {})),
}


@pytest.mark.parametrize("supports_unique_id", [True, False], ids=["current", "2017"])
@pytest.mark.parametrize("fault_name", FAULTS)
def test_transient_fault_creates_no_second_task(
    stub_server: StubServer, job: Job, fault_name: str, supports_unique_id: bool
) -> None:
    api = FaultyApi(stub_server, supports_unique_id, on_every_third(FAULTS[fault_name]))
    summary = label(job)
    assert (summary.labeled, summary.pending) == (ROWS, 0)
    assert sorted(task["metadata"]["row_id"] for task in api.tasks) == sorted(f"r{number}" for number in range(ROWS))
    assert api.creations > ROWS or fault_name in ("dropped after", "503 after", "broken JSON after")


@pytest.mark.parametrize("supports_unique_id", [True, False], ids=["current", "2017"])
def test_malformed_response_leaves_the_row_to_the_next_run(
    stub_server: StubServer, job: Job, tmp_path: Path, supports_unique_id: bool
) -> None:
    api = FaultyApi(
        stub_server,
        supports_unique_id,
        lambda number, _: CreationFault(True, (200, {"ok": 1}, {})) if number == 5 else None,
    )
    first = label(job)
    assert (first.labeled, first.pending, first.not_submitted) == (ROWS - 1, 1, 1)
    assert lease_files(tmp_path / "out")
    second = label(job)
    assert (second.labeled, second.created, second.recovered) == (ROWS, 0, 1)
    assert len(api.tasks) == ROWS
    assert not lease_files(tmp_path / "out")


def test_row_refused_by_the_api_is_rejected_with_its_message(stub_server: StubServer, job: Job, tmp_path: Path) -> None:
    def fault(number: int, request: dict[str, Any]) -> CreationFault | None:
        refused = request["metadata"]["row_id"] == "r7"
        return CreationFault(False, (400, {"error": "attachment: too rude"}, {})) if refused else None

    FaultyApi(stub_server, True, fault)
    summary = label(job)
    assert (summary.labeled, summary.rejected) == (ROWS - 1, 1)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects")
    assert list(rejects["reject_row"]) == [8]
    assert "attachment: too rude" in rejects["reject_reason"][0]


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (403, ScaleError)])
def test_revoked_key_stops_the_run_and_created_tasks_are_recorded(
    stub_server: StubServer, job: Job, tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    refused = CreationFault(False, (status, {"error": "no longer"}, {}))
    api = FaultyApi(stub_server, True, lambda number, _: refused if number > 5 else None)
    with pytest.raises(kind):
        label(job)
    assert api.creations < ROWS
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert set(recorded["task_id"]) == {task["task_id"] for task in api.tasks}
    assert len(api.tasks) == 5


def test_concurrent_runs_of_one_job_share_its_tasks(stub_server: StubServer, job: Job, tmp_path: Path) -> None:
    api = FaultyApi(stub_server, True, lambda *_: None)
    elsewhere = job.model_copy(update={"output": str(tmp_path / "elsewhere")})
    assert label(job).created == ROWS
    assert label(elsewhere).recovered == ROWS
    assert len(api.tasks) == ROWS
