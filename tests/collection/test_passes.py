"""Answers over several passes and runs: each row once, in order, with the right outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pyarrow as pa
import pytest

from labelflow.collection import watermark
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger.job_record import claim, read_source_schema
from labelflow.ledger.ledger import Ledger
from labelflow.operations.label import LabelRun
from labelflow.outputs import answer_files
from labelflow.planning.plan import Plan
from labelflow.records import Submission
from labelflow.scale import client
from labelflow.storage.local import LocalFolder
from labelflow.tables import compaction
from labelflow.tables.part_files import list_parts
from tests.conftest import StubServer
from tests.support.jobs import make_job
from tests.support.run_job import label

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROWS = 12


class AnnotatorApi:
    """An API whose tasks stay pending until `end` is called; it supports `status`, `start_time` and `updated_after`."""

    def __init__(self, stub_server: StubServer, supports_unique_id: bool = True) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}  # by row_id
        self.changed: dict[str, str] = {}  # when each task was answered or last changed
        self.supports_unique_id = supports_unique_id
        self.created_at = NOON
        self.queries: list[dict[str, list[str]]] = []
        stub_server.respond = self.respond

    def complete(self, row_id: str, status: str = "completed", minutes: float | None = 0, response: Any = None) -> None:
        """A task finishes, some minutes after noon (None: at midnight, and the server returns no time)."""
        at = None if minutes is None else (NOON + timedelta(minutes=minutes)).isoformat()
        self.changed[row_id] = at or (NOON + timedelta(hours=12)).isoformat()
        response = {"category": "a"} if response is None and status == "completed" else response
        self.tasks[row_id].update(status=status, completed_at=at, response=response)

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            request = json.loads(body)
            number = len(self.tasks) + 1
            task = {
                "task_id": f"{number:024x}",
                "type": "categorization",
                "status": "pending",
                "created_at": self.created_at.isoformat(),
                "metadata": request["metadata"],
                **({"unique_id": request["unique_id"]} if self.supports_unique_id else {}),
            }
            self.tasks[request["metadata"]["row_id"]] = task
            return 200, task, {}
        query = parse_qs(urlsplit(path).query)
        if "status" in query:
            self.queries.append(query)
        docs = [task for task in reversed(self.tasks.values()) if self._matches(task, query)]
        offset, limit = (int(query.get(name, ["0"])[0]) for name in ("offset", "limit"))
        page = docs[offset : offset + limit]
        return 200, {"docs": page, "total": len(docs), "has_more": offset + len(page) < len(docs)}, {}

    def _matches(self, task: dict[str, Any], query: dict[str, list[str]]) -> bool:
        if query.get("status", [task["status"]])[0] != task["status"]:
            return False
        if "start_time" in query and not task["created_at"] > normalize_time(query["start_time"][0]):
            return False
        changed = self.changed.get(str(task["metadata"].get("row_id")), task["created_at"])
        return "updated_after" not in query or changed > normalize_time(query["updated_after"][0])


def normalize_time(text: str) -> str:
    return datetime.fromisoformat(text).isoformat()


@pytest.fixture
def job_factory(tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    write_rows(tmp_path, ROWS)
    defaults = {"scale": {"url": stub_server.url}, "collect": {"poll_interval": "0.1s", "timeout": "2s"}}
    return lambda **changes: make_job(tmp_path, **{**defaults, **changes})


def write_rows(tmp_path: Path, count: int) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}", "n": number} for number in range(count)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def submitted_run(job: Job) -> LabelRun:
    run = LabelRun(Plan(job))
    for chunk in run.plan.chunks():
        run.dispatcher.submit(chunk)
    run.finish_submission()
    return run


def read_output(tmp_path: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(tmp_path / "out" / name)


def test_labels_are_in_manifest_order(stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        for row_id in ("r7", "r3", "r9"):
            people.complete(row_id)
        run.collect()
        assert list(read_output(tmp_path, "labels")["row_id"]) == ["r3", "r7", "r9"]
        for row_id in people.tasks:
            people.complete(row_id)
        run.collect()
        assert run.finish().labeled == ROWS
    assert list(read_output(tmp_path, "labels")["row_id"]) == [f"r{number}" for number in range(ROWS)]
    assert len(list_parts(LocalFolder(str(tmp_path / "out")), "labels/")) == 1


def test_answer_listed_late_is_not_missed(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        people.complete("r0", minutes=60)
        run.collect()
        people.complete("r1", minutes=55)  # completed before the newest of the first pass
        assert run.collect() == 1


def test_later_pass_of_any_process_requests_only_changes(
    stub_server: StubServer, job_factory: Callable[..., Job]
) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        people.complete("r0", minutes=60)
        run.collect()
    people.queries.clear()
    people.complete("r1", "canceled", minutes=None)
    people.complete("r2", "error", minutes=None, response={"error": "gone"})
    with closing(submitted_run(job_factory())) as run:
        assert run.collect() == 2
        summary = run.summary()
    assert (summary.labeled, summary.canceled, summary.error) == (1, 1, 1)
    since = {(query["status"][0], query["updated_after"][0][:16]) for query in people.queries}
    assert since == {(status, "2026-11-23T12:49") for status in ("completed", "canceled", "error")}, since
    assert all(query["type"] == ["categorization"] for query in people.queries)


def test_timestamp_in_the_future_hides_no_later_answer(
    stub_server: StubServer, job_factory: Callable[..., Job]
) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        people.complete("r0", minutes=60 * 24 * 365 * 1000)
        assert run.collect() == 1
        people.complete("r1")
        people.tasks["r1"]["completed_at"] = datetime.now(UTC).isoformat()
        assert run.collect() == 1


def test_api_2017_gets_no_unsupported_parameters(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    people = AnnotatorApi(stub_server, supports_unique_id=False)
    with closing(submitted_run(job_factory())) as run:
        people.complete("r0", minutes=60)
        run.collect()
        people.complete("r1", minutes=1)
        assert run.collect() == 1
    assert not any("updated_after" in query for query in people.queries)
    assert not any(query["status"] == ["error"] for query in people.queries)


def test_on_2017_a_list_is_read_until_nothing_in_it_can_be_new(
    stub_server: StubServer, job_factory: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_LIMIT", 2)
    people = AnnotatorApi(stub_server, supports_unique_id=False)

    def run_pass() -> tuple[int, list[str]]:
        people.queries.clear()
        with closing(
            submitted_run(job_factory(submit={"concurrency": 1}))
        ) as run:  # created in the order of the manifest
            return run.collect(), [query["status"][0] for query in people.queries]

    run_pass()
    for number in range(1, 7):
        people.complete(f"r{number}")
    assert run_pass() == (6, ["completed"] * 3 + ["canceled"])
    assert run_pass() == (0, ["completed", "canceled"])
    people.complete("r8")
    people.complete("r9")
    people.complete("r10", "canceled", minutes=None)
    assert run_pass() == (3, ["completed", "canceled"])
    people.tasks["r99"] = {**people.tasks["r1"], "task_id": "f" * 24, "metadata": {"job": "another"}}
    assert run_pass() == (0, ["completed"] * 5 + ["canceled"])  # one is new, and is another job's
    assert run_pass() == (0, ["completed", "canceled"])


def test_on_2017_an_unrecorded_task_causes_a_full_listing_again(
    stub_server: StubServer, job_factory: Callable[..., Job]
) -> None:
    people = AnnotatorApi(stub_server, supports_unique_id=False)
    with closing(submitted_run(job_factory())) as run:
        people.complete("r0")
        people.tasks["r99"] = {**people.tasks["r0"], "task_id": "f" * 24, "metadata": {"job": "job", "row_id": "r99"}}
        run.collect()
        assert watermark.read(run.plan.context.folder, 99, datetime.now(UTC)).totals == {}
        del people.tasks["r99"]
        run.collect()
        assert list(watermark.read(run.plan.context.folder, 99, datetime.now(UTC)).totals.values()) == [1]


def test_errors_are_written_once_across_runs_and_merged_in_order(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    people = AnnotatorApi(stub_server)
    for count in (4, 8, ROWS):
        write_rows(tmp_path, count)
        with closing(submitted_run(job_factory())) as run:
            for number, row_id in enumerate(people.tasks):
                people.complete(row_id, "canceled" if number % 2 else "error", response={"error": "no"})
            run.collect()
            summary = run.finish()
        assert (summary.error, summary.canceled, summary.pending) == (count // 2, count // 2, 0)
    assert list(read_output(tmp_path, "errors")["row_id"]) == [f"r{number}" for number in range(ROWS)]
    assert len(list_parts(LocalFolder(str(tmp_path / "out")), "errors/")) == 1
    again = label(job_factory())
    assert (again.error, again.canceled) == (ROWS // 2, ROWS // 2)


def test_answers_are_written_in_parts_and_none_is_lost(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_files, "PART_ROWS", 5)
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        for row_id in people.tasks:
            people.complete(row_id)
        assert run.collect() == ROWS
    assert len(list_parts(LocalFolder(str(tmp_path / "out")), "labels/")) == 3
    assert sorted(read_output(tmp_path, "labels")["row_id"]) == sorted(f"r{number}" for number in range(ROWS))


def test_signatures_are_removed_from_error_reasons(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        people.complete(
            "r0",
            response={
                "error": "no answer from https://b.example/k.jpg?X-Amz-Credential=A&X-Amz-Signature=5ec2e7 (403)"
            },
        )
        run.collect()
    assert list(read_output(tmp_path, "errors")["reason"]) == ["no answer from https://b.example/k.jpg (403)"]


def test_parts_are_not_merged_while_tasks_are_pending(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        for row_id in ("r0", "r1"):
            people.complete(row_id)
            run.collect()
        run.finish()
    assert len(list_parts(LocalFolder(str(tmp_path / "out")), "labels/")) == 2


def test_interrupted_compaction_is_finished_by_the_next_run(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        for row_id in people.tasks:
            people.complete(row_id)
        run.collect()
        run.finish()
    folder = LocalFolder(str(tmp_path / "out"))
    merged = list_parts(folder, "labels/")[0]
    folder.write(compaction.STAGE + merged.replace("/", "-"), folder.read(merged) or b"")
    folder.write(compaction.PLAN, json.dumps({"remove": ["labels/part-0.parquet"], "place": [merged]}).encode())
    folder.delete(merged)
    people.tasks.clear()  # the API has nothing to say any more
    assert label(job_factory(), wait=False).labeled == ROWS
    assert folder.read(compaction.PLAN) is None


def test_foreign_files_in_the_folders_are_left_alone(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    people = AnnotatorApi(stub_server)
    with closing(submitted_run(job_factory())) as run:
        people.complete("r0")
        run.collect()
    for name in ("labels", "_ledger/submissions"):
        (tmp_path / "out" / name / "_SUCCESS").write_text("mine")
    assert label(job_factory(), wait=False).labeled == 1


def submission(row_id: str, created_at: datetime | None) -> Submission:
    return Submission(row_id, 1, f"task-{row_id}", None, "f", 0, 0, created_at, [], {"id": row_id})


def test_ledger_returns_its_oldest_task(tmp_path: Path) -> None:
    folder, kind = LocalFolder(str(tmp_path)), pa.struct([("id", pa.string())])
    ledger = Ledger.load(folder, kind)
    ledger.record([submission("b", NOON + timedelta(hours=2)), submission("c", NOON + timedelta(hours=1))])
    ledger.record([submission("d", None)])
    ledger.record([submission("a", NOON + timedelta(hours=3)), submission("e", NOON)])
    assert ledger.first_created() == Ledger.load(folder, kind).first_created() == NOON


def test_carried_columns_keep_the_recorded_order(tmp_path: Path, job_factory: Callable[..., Job]) -> None:
    folder = LocalFolder(str(tmp_path / "out"))
    kind = pa.struct([("id", pa.string()), ("n", pa.int64()), ("text", pa.string())])
    claim(folder, job_factory(metadata=["n", "text"]), kind)
    assert read_source_schema(folder, job_factory(metadata=["n", "text"])) == kind
    assert read_source_schema(folder, job_factory(metadata=["text", "new", "n"])) == kind
    with pytest.raises(InvalidInput, match="has the columns id, n, text in `source`"):
        read_source_schema(folder, job_factory(metadata=["n"]))


def test_equal_sized_chunks_are_separate_parts(tmp_path: Path) -> None:
    folder, kind = LocalFolder(str(tmp_path)), pa.struct([("id", pa.string())])
    ledger = Ledger.load(folder, kind)
    ledger.record([submission("a", NOON), submission("b", NOON)])
    ledger.record([submission("c", NOON), submission("d", NOON)])
    assert sorted(row_id for row_ids, _ in Ledger.load(folder, kind).rows() for row_id in row_ids) == [
        "a",
        "b",
        "c",
        "d",
    ]


def test_labels_of_tasks_missing_from_the_ledger_do_not_end_the_run(
    tmp_path: Path, stub_server: StubServer, job_factory: Callable[..., Job]
) -> None:
    people = AnnotatorApi(stub_server)
    for ids in (["r0", "r1", "r2"], ["q0", "q1", "q2"]):  # the second time the ledger and the rows are others
        manifest = "".join(json.dumps({"id": row_id, "text": "x", "n": n}) + "\n" for n, row_id in enumerate(ids))
        (tmp_path / "manifest.jsonl").write_text(manifest)
        with closing(submitted_run(job_factory())) as run:
            for row_id in people.tasks:
                people.complete(row_id)
            run.collect()
            assert run.finish().labeled == 3
        for part in (tmp_path / "out" / "_ledger" / "submissions").glob("*"):
            part.unlink()
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == 6
