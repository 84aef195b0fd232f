"""One task per row, whatever the network and the server do. Each fault in both dialects, over real sockets."""

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
from tests.conftest import Scripted
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.stale_leases import marks

ROWS = 12
Fault = Callable[[int, dict[str, Any]], "Answer | None"]


class Answer:
    """What a fault does to a creation: `made` whether the task is made, `sent` what the client gets (None: nothing)."""

    def __init__(self, made: bool, sent: tuple[int, Any, dict[str, str]] | None) -> None:
        self.made = made
        self.sent = sent


class Api:
    """A small API with room for faults: `fault(n, request)` is asked at the n-th creation, counted from 1."""

    def __init__(self, scripted: Scripted, knows_ids: bool, fault: Fault) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.creations = 0
        self._knows_ids = knows_ids
        self._fault = fault
        self._lock = threading.Lock()
        scripted.answer = self.answer

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]] | None:
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
        if fault and not fault.made:
            return fault.sent
        holder = [task for task in self.tasks if self._knows_ids and task.get("unique_id") == request["unique_id"]]
        if holder:
            error = f'The unique_id ("{request["unique_id"]}") is already used for a different task'
            return 409, {"status_code": 409, "error": f"{error} ({holder[0]['task_id']})."}, {}
        task = {
            "task_id": f"{len(self.tasks) + 1:024x}",
            "type": "categorization",
            "status": "completed",
            "created_at": pd.Timestamp.now("UTC").isoformat(),
            "completed_at": pd.Timestamp.now("UTC").isoformat(),
            "metadata": request["metadata"],
            "response": {"category": "a"},
            **({"unique_id": request["unique_id"]} if self._knows_ids else {}),
        }
        self.tasks.append(task)
        return fault.sent if fault else (200, {**task, "status": "pending"}, {})

    def _list(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        if self._knows_ids and "contract" in query:
            return 400, {"error": "There is no parameter `contract`."}, {}
        docs = [task for task in reversed(self.tasks) if query.get("status", ["completed"])[0] == task["status"]]
        if self._knows_ids and "unique_id" in query:
            docs = [task for task in docs if task["unique_id"] in query["unique_id"]]
        return 200, {"docs": docs, "total": len(docs), "has_more": False}, {}


@pytest.fixture
def job(tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(ROWS)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make_job(tmp_path, scale={"url": scripted.url}, submit={"concurrency": 4})


def every_third(answer: Answer) -> Fault:
    return lambda number, request: answer if number % 3 == 1 else None


TROUBLE = {
    "dropped before": Answer(made=False, sent=None),
    "dropped after": Answer(made=True, sent=None),
    "500 before": Answer(made=False, sent=(500, {"error": "oops"}, {})),
    "503 after": Answer(made=True, sent=(503, b"<html>", {})),
    "429": Answer(made=False, sent=(429, {"error": "slow down"}, {"Retry-After": "0"})),
    "broken JSON after": Answer(made=True, sent=(200, b'{"task_id": "', {})),
}


@pytest.mark.parametrize("knows_ids", [True, False], ids=["today", "2017"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_passing_trouble_makes_no_second_task(scripted: Scripted, job: Job, trouble: str, knows_ids: bool) -> None:
    api = Api(scripted, knows_ids, every_third(TROUBLE[trouble]))
    summary = label(job)
    assert (summary.labeled, summary.pending) == (ROWS, 0)
    assert sorted(task["metadata"]["row_id"] for task in api.tasks) == sorted(f"r{number}" for number in range(ROWS))
    assert api.creations > ROWS or trouble in ("dropped after", "503 after", "broken JSON after")


@pytest.mark.parametrize("knows_ids", [True, False], ids=["today", "2017"])
def test_an_answer_of_another_shape_leaves_the_row_to_the_next_run(
    scripted: Scripted, job: Job, tmp_path: Path, knows_ids: bool
) -> None:
    api = Api(scripted, knows_ids, lambda number, _: Answer(True, (200, {"ok": 1}, {})) if number == 5 else None)
    first = label(job)
    assert (first.labeled, first.pending, first.not_submitted) == (ROWS - 1, 1, 1)
    assert marks(tmp_path / "out")
    second = label(job)
    assert (second.labeled, second.created, second.recovered) == (ROWS, 0, 1)
    assert len(api.tasks) == ROWS
    assert not marks(tmp_path / "out")


def test_a_row_that_the_api_refuses_is_rejected_with_its_words(scripted: Scripted, job: Job, tmp_path: Path) -> None:
    def fault(number: int, request: dict[str, Any]) -> Answer | None:
        refused = request["metadata"]["row_id"] == "r7"
        return Answer(False, (400, {"error": "attachment: too rude"}, {})) if refused else None

    Api(scripted, True, fault)
    summary = label(job)
    assert (summary.labeled, summary.rejected) == (ROWS - 1, 1)
    rejects = pd.read_parquet(tmp_path / "out" / "rejects")
    assert list(rejects["reject_row"]) == [8]
    assert "attachment: too rude" in rejects["reject_reason"][0]


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (403, ScaleError)])
def test_a_key_that_is_taken_back_stops_everything_and_what_was_created_is_recorded(
    scripted: Scripted, job: Job, tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    refused = Answer(False, (status, {"error": "no longer"}, {}))
    api = Api(scripted, True, lambda number, _: refused if number > 5 else None)
    with pytest.raises(kind):
        label(job)
    assert api.creations < ROWS
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert set(recorded["task_id"]) == {task["task_id"] for task in api.tasks}
    assert len(api.tasks) == 5


def test_two_runs_of_one_job_share_its_tasks(scripted: Scripted, job: Job, tmp_path: Path) -> None:
    api = Api(scripted, True, lambda *_: None)
    elsewhere = job.model_copy(update={"output": str(tmp_path / "elsewhere")})
    assert label(job).created == ROWS
    assert label(elsewhere).recovered == ROWS
    assert len(api.tasks) == ROWS
