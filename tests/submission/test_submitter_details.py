"""One task per row: faults of clocks, of other jobs and of other runs, and what a job's own limits promise."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import InvalidInput, StopRequested
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning import chunk
from labelflow.planning.plan import Plan
from labelflow.submission import reconciliation
from tests.conftest import StubServer
from tests.submission.test_submitter import ROWS, CreationFault, Fault, FaultyApi
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.s3_servers import use_s3
from tests.support.stale_leases import abandon, earliest_start, lease_files

LOST_RESPONSE = CreationFault(creates_task=True, response=None)
NOT_CREATED = CreationFault(creates_task=False, response=(500, {"error": "oops"}, {}))
MALFORMED = CreationFault(creates_task=True, response=(200, {"ok": 1}, {}))
NO_FAULT: Fault = lambda *_: None  # noqa: E731
CLOCK_SKEW = timedelta(minutes=5)


def on_every_third(fault: CreationFault) -> Fault:
    return lambda number, request: fault if number % 3 == 1 else None


def on_row(row_id: str, creation_fault: CreationFault) -> Fault:
    """The first creation for a row meets a fault."""
    seen: list[str] = []

    def fault(number: int, request: dict[str, Any]) -> CreationFault | None:
        if request["metadata"]["row_id"] != row_id or seen:
            return None
        seen.append(row_id)
        return creation_fault

    return fault


class SkewedClockApi(FaultyApi):
    """An API whose clock is behind ours, and which heeds `start_time`: later than it, not at it."""

    def _create(self, request: dict[str, Any]) -> Any:
        count = len(self.tasks)
        answer = super()._create(request)
        if len(self.tasks) > count:
            made = self.tasks[-1]
            made["created_at"] = (datetime.fromisoformat(made["created_at"]) - CLOCK_SKEW).isoformat(
                timespec="milliseconds"
            )
            if answer and answer[0] == 200 and isinstance(answer[1], dict) and "task_id" in answer[1]:
                answer[1]["created_at"] = made["created_at"]
        return answer

    def _list(self, query: dict[str, list[str]]) -> Any:
        status, page, headers = super()._list(query)
        since = query.get("start_time", ["1970-01-01T00:00:00Z"])[0]
        docs = [task for task in page["docs"] if datetime.fromisoformat(task["created_at"]) > parse_moment(since)]
        return status, {**page, "docs": docs, "total": len(docs)}, headers


def parse_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def job_factory(tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    write_rows(tmp_path, range(ROWS))

    def made(**changes: Any) -> Job:
        defaults = {"scale": {"url": stub_server.url}, "submit": {"concurrency": 4}}
        return make_job(tmp_path, **{**defaults, "collect": {"poll_interval": "0.1s", "timeout": "5s"}, **changes})

    return made


def write_rows(tmp_path: Path, numbers: Any) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in numbers]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_lost_task_is_found_when_the_server_clock_is_behind(
    stub_server: StubServer, job_factory: Callable[..., Job]
) -> None:
    api = SkewedClockApi(stub_server, False, on_every_third(LOST_RESPONSE))
    assert label(job_factory()).labeled == ROWS
    assert len(api.tasks) == ROWS
    listings = [path for method, path, _, _ in stub_server.requests if method == "GET" and "start_time" in path]
    assert all("type=categorization" in path for path in listings)


def test_task_from_a_crash_is_found_when_the_server_clock_is_behind(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    api = SkewedClockApi(stub_server, False, on_row("r4", MALFORMED))
    assert label(job_factory()).not_submitted == 1
    assert (label(job_factory()).recovered, len(api.tasks)) == (1, ROWS)
    assert not lease_files(tmp_path / "out")


def test_other_jobs_tasks_are_not_taken_for_lost_ones(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    first = FaultyApi(stub_server, False, NO_FAULT)
    label(job_factory())
    api = FaultyApi(stub_server, False, on_every_third(NOT_CREATED))
    api.tasks = first.tasks
    other = job_factory(name="other", output=str(tmp_path / "other"))
    label(other)
    assert len(api.tasks) == 2 * ROWS
    assert [task["metadata"]["job"] for task in api.tasks].count("other") == ROWS


def test_other_jobs_tasks_are_not_taken_for_those_of_a_crash(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    first = FaultyApi(stub_server, False, NO_FAULT)
    label(job_factory())
    api = FaultyApi(stub_server, False, on_row("r4", NOT_CREATED))
    api.tasks = first.tasks
    abandon(tmp_path / "other", datetime(2026, 1, 1, tzinfo=UTC))
    summary = label(job_factory(name="other", output=str(tmp_path / "other")))
    assert (summary.created, summary.recovered, summary.rejected) == (ROWS, 0, 0)


def test_foreign_task_with_the_unique_id_is_not_recovered(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    foreign = f"{0xABC:024x}"

    def fault(number: int, request: dict[str, Any]) -> CreationFault | None:
        if request["metadata"]["row_id"] != "r3":
            return None
        metadata = {**request["metadata"], "job": "another"}
        task = {"task_id": foreign, "type": "categorization", "status": "completed", "metadata": metadata}
        api.tasks.append({**task, "unique_id": request["unique_id"], "response": {"category": "b"}})
        return CreationFault(False, (409, {"error": f"is already used for a different task ({foreign})."}, {}))

    api = FaultyApi(stub_server, True, fault)
    summary = label(job_factory())
    assert (summary.labeled, summary.rejected, summary.recovered) == (ROWS - 1, 1, 0)
    assert foreign not in set(pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")["task_id"])


@pytest.mark.parametrize("words", ["{error}", "The id is taken."])
def test_existing_task_is_found_by_unique_id_when_the_error_does_not_name_it(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path, words: str
) -> None:
    class Reticent(FaultyApi):
        def respond(self, method: str, path: str, body: bytes) -> Any:
            if method == "GET" and "/tasks" not in path:
                return 404, {"error": "There is none."}, {}
            given = super().respond(method, path, body)
            if given and given[0] == 409:
                return 409, {"error": words.format(error=given[1]["error"])}, {}
            return given

    api = Reticent(stub_server, True, NO_FAULT)
    label(job_factory())
    assert label(job_factory(output=str(tmp_path / "elsewhere"))).recovered == ROWS
    assert len(api.tasks) == ROWS


def test_crash_of_a_removed_row_stays_on_record_with_unique_id_support(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    FaultyApi(stub_server, True, on_row("r4", MALFORMED))
    label(job_factory())
    assert lease_files(tmp_path / "out")
    write_rows(tmp_path, [number for number in range(ROWS) if number != 4])
    label(job_factory())
    assert lease_files(tmp_path / "out")


def test_tasks_of_a_crash_stay_unresolved_until_their_row_is_scanned(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    api = FaultyApi(stub_server, False, on_row("r9", MALFORMED))
    label(job_factory())
    before = earliest_start(tmp_path / "out")
    label(job_factory(), limit=3)
    later = earliest_start(tmp_path / "out") - before
    assert abs(later) < timedelta(seconds=2), "the tasks of the crash are older than this run"
    assert label(job_factory()).recovered == 1
    assert len(api.tasks) == ROWS
    assert not lease_files(tmp_path / "out")


def test_run_after_a_crash_keeps_the_start_time_of_the_crashed_run(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    FaultyApi(stub_server, False, on_row("r9", MALFORMED))
    label(job_factory())
    before = earliest_start(tmp_path / "out")
    time.sleep(0.01)
    with closing(LabelRun(Plan(job_factory()))) as run:
        for chunk in run.plan.chunks():
            run.dispatcher.submit(chunk)
        assert abs(earliest_start(tmp_path / "out") - before) < timedelta(seconds=2)


def test_refused_row_returns_its_max_tasks_slot(
    stub_server: StubServer, job_factory: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "CHUNK_ROWS", 4)
    api = FaultyApi(stub_server, True, on_row("r0", CreationFault(False, (400, {"error": "too rude"}, {}))))
    summary = label(job_factory(submit={"concurrency": 4, "max_tasks": ROWS - 1}))
    assert (summary.created, summary.rejected, summary.not_submitted) == (ROWS - 1, 1, 0)
    assert len(api.tasks) == ROWS - 1


def test_max_tasks_holds_across_chunks(
    stub_server: StubServer, job_factory: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "CHUNK_ROWS", 4)
    api = FaultyApi(stub_server, True, NO_FAULT)
    summary = label(job_factory(submit={"max_tasks": 6}), wait=False)
    assert (summary.created, summary.not_submitted, len(api.tasks)) == (6, 6, 6)


def test_stop_ends_the_chunk_and_keeps_created_tasks(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    stop = StopToken()
    api = FaultyApi(stub_server, True, lambda number, _: stop.set() if number == 3 else None)
    with (
        closing(LabelRun(Plan(job_factory(submit={"concurrency": 1}), stop=stop))) as run,
        pytest.raises(StopRequested),
    ):
        run.dispatcher.submit(next(run.plan.chunks()))
    assert len(api.tasks) == 3
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert set(recorded["task_id"]) == {task["task_id"] for task in api.tasks}


def test_stop_ends_the_pause_before_a_retry(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    stop = StopToken()
    wait = CreationFault(False, (503, {"error": "busy"}, {"Retry-After": "8"}))

    def fault(number: int, request: dict[str, Any]) -> CreationFault | None:
        if number > 1:
            return None
        threading.Timer(0.2, stop.set).start()
        return wait

    FaultyApi(stub_server, True, fault)
    with closing(LabelRun(Plan(job_factory(submit={"concurrency": 1}), stop=stop))) as run:
        start = time.monotonic()
        with pytest.raises(StopRequested):
            run.dispatcher.submit(next(run.plan.chunks()))
        assert time.monotonic() - start < 4


def test_submission_rate_is_kept(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    moments: list[float] = []
    FaultyApi(stub_server, True, lambda *_: moments.append(time.monotonic()))
    start = time.monotonic()
    label(job_factory(submit={"rate": "20/s"}))
    assert moments[-1] - start > (ROWS - 1) / 20 * 0.9


def test_poll_intervals_grow_and_end_with_the_timeout(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    FaultyApi(stub_server, True, NO_FAULT)
    with closing(LabelRun(Plan(job_factory(collect={"poll_interval": "0.3s", "timeout": "0.9s"})))) as run:
        waited = list(itertools.islice(run.intervals(), 20))
    assert waited[:2] == [0.2, 0.3]
    assert len(waited) <= 4


def test_cost_covers_all_tasks(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    FaultyApi(stub_server, True, NO_FAULT)
    job = job_factory(submit={"price_per_task": 0.5})
    assert label(job).cost == ROWS * 0.5
    assert label(job).cost == ROWS * 0.5


def test_output_folder_has_one_task_type(stub_server: StubServer, job_factory: Callable[..., Job]) -> None:
    FaultyApi(stub_server, True, NO_FAULT)
    label(job_factory())
    with pytest.raises(InvalidInput, match="holds the job 'job' \\(categorization\\), not 'job' \\(other\\)"):
        label(job_factory(task={"type": "other", "attachment_type": "text", "attachment": "{text}"}))


ATTACHMENT_CASES: list[tuple[dict[str, Any], Callable[[dict[str, Any]], list[str]], bool]] = [
    (
        {"type": "annotation", "attachment": "s3://b/{text}.jpg", "objects_to_annotate": ["car"]},
        lambda body: [body["attachment"]],
        True,
    ),
    (
        {
            "type": "comparison",
            "instruction": "Which?",
            "attachment_type": "image",
            "attachments": ["s3://b/{text}.jpg", "s3://b/{text}.jpg"],
            "choices": ["a", "b"],
        },
        lambda body: body["attachments"],
        True,
    ),
    (
        {
            "type": "categorization",
            "instruction": "What?",
            "attachment_type": "text",
            "attachment": "s3://b/{text}.jpg",
            "categories": ["a"],
            "urgency": "week",
        },
        lambda body: [body["attachment"]],
        False,
    ),
]


@pytest.mark.parametrize(("task", "given", "signed"), ATTACHMENT_CASES, ids=["one", "several", "text"])
def test_s3_attachments_are_sent_signed_and_texts_unchanged(
    stub_server: StubServer,
    job_factory: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    task: dict[str, Any],
    given: Callable[[dict[str, Any]], list[str]],
    signed: bool,
    moto_url: str,
) -> None:
    use_s3(monkeypatch, moto_url)
    bodies: list[dict[str, Any]] = []
    FaultyApi(stub_server, True, lambda number, request: bodies.append(request))
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "1", "text": "k"}) + "\n")
    label(job_factory(task=task, attachments={"check": "off", "presign": "2h"}))
    values = given(bodies[0])
    assert values
    for value in values:
        if signed:
            url = urlsplit(value)
            assert (url.netloc, url.path) == (urlsplit(moto_url).netloc, "/b/k.jpg")
            assert parse_qs(url.query)["X-Amz-Expires"] == ["7200"]
        else:
            assert value == "s3://b/k.jpg"
    assert bodies[0].get("urgency") == task.get("urgency")
    assert not any(b"X-Amz" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_task_metadata_has_the_columns_and_the_row_id(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    bodies: list[dict[str, Any]] = []
    FaultyApi(stub_server, True, lambda number, request: bodies.append(request))
    label(job_factory(metadata=["text"]))
    body = next(body for body in bodies if body["metadata"]["row_id"] == "r3")
    fingerprint = body["metadata"].pop("fingerprint")
    assert fingerprint
    uri = str(tmp_path / "manifest.jsonl")
    assert body["metadata"] == {"text": "text 3", "job": "job", "row_id": "r3", "manifest": uri}
    assert body["unique_id"] == "job/r3"


def test_conflict_response_avoids_searching_the_list(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    first = FaultyApi(stub_server, True, NO_FAULT)
    label(job_factory())
    api = FaultyApi(stub_server, True, on_row("r5", NOT_CREATED))
    api.tasks = first.tasks
    stub_server.requests.clear()
    assert label(job_factory(submit={"concurrency": 1}, output=str(tmp_path / "elsewhere"))).recovered == ROWS
    assert not [path for _, path, _, _ in stub_server.requests if "start_time" in path and "status" not in path]


def test_lease_record_is_written_before_the_first_task_is_created(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    seen: list[int] = []
    FaultyApi(stub_server, True, lambda *_: seen.append(len(lease_files(tmp_path / "out"))))
    label(job_factory())
    assert seen == [1] * ROWS
    assert not lease_files(tmp_path / "out")


def test_existing_task_is_found_with_a_lagging_list(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "LISTING_LAG", 2.0)

    class Lagging(FaultyApi):
        calls = 0

        def respond(self, method: str, path: str, body: bytes) -> Any:
            given = super().respond(method, path, body)
            if given and given[0] == 409:
                return 409, b"no JSON, and so no id", {}
            if "unique_id=" in path:
                Lagging.calls += 1
                return (200, {"docs": [], "total": 0, "has_more": False}, {}) if Lagging.calls % 2 else given
            return given

    api = Lagging(stub_server, True, NO_FAULT)
    label(job_factory())
    assert label(job_factory(submit={"concurrency": 1}, output=str(tmp_path / "elsewhere"))).recovered == ROWS
    assert len(api.tasks) == ROWS


def test_lost_task_listed_with_malformed_data_is_not_created_again(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    class Damaging(FaultyApi):
        def _list(self, query: dict[str, list[str]]) -> Any:
            status, page, headers = super()._list(query)
            return status, {**page, "docs": [{**doc, "task_id": None} for doc in page["docs"]]}, headers

    api = Damaging(stub_server, False, on_row("r4", LOST_RESPONSE))
    summary = label(job_factory(), wait=False)
    assert (len(api.tasks), summary.outcome_unknown) == (ROWS, 1)
    healed = FaultyApi(stub_server, False, NO_FAULT)
    healed.tasks = api.tasks
    assert label(job_factory()).recovered == 1
    assert len(api.tasks) == ROWS


def test_malformed_conflict_response_leaves_the_row_to_the_next_run(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    class Odd(FaultyApi):
        def respond(self, method: str, path: str, body: bytes) -> Any:
            if method == "GET" and "unique_id=job%2Fr5" in path:
                return 200, {"ok": 1}, {}
            return super().respond(method, path, body)

    first = FaultyApi(stub_server, True, NO_FAULT)
    label(job_factory(submit={"concurrency": 1}))
    api = Odd(stub_server, True, NO_FAULT)
    api.tasks = first.tasks
    elsewhere = job_factory(output=str(tmp_path / "elsewhere"))
    assert (label(elsewhere, wait=False).outcome_unknown, len(api.tasks)) == (1, ROWS)
    stub_server.respond = first.respond
    assert (label(elsewhere).labeled, len(api.tasks)) == (ROWS, ROWS)


def test_truncated_listing_does_not_prove_that_a_row_has_no_task(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    class Forgetful(FaultyApi):
        forgets = True

        def respond(self, method: str, path: str, body: bytes) -> Any:
            given = super().respond(method, path, body)
            if given and self.forgets and "start_time=" in path and "status=" not in path:
                return 200, {"docs": [], "total": len(self.tasks), "has_more": False}, {}
            return given

    api = Forgetful(stub_server, False, on_every_third(LOST_RESPONSE))
    first = label(job_factory(), wait=False)
    assert first.outcome_unknown > 0
    api.forgets = False
    assert label(job_factory()).labeled == ROWS
    assert len(api.tasks) == ROWS


def test_signed_url_of_the_manifest_is_sent_as_it_is(
    stub_server: StubServer, job_factory: Callable[..., Job], tmp_path: Path
) -> None:
    """HumanSignal/label-studio#6472: the percent signs of a signature were encoded again."""
    url = f"https://b.example/p.png?AWSAccessKeyId=X&Signature=%2FiMO25wi%2Fyx85f%2BPdHU%3D&Expires={2**31}"
    bodies: list[dict[str, Any]] = []
    FaultyApi(stub_server, True, lambda number, request: bodies.append(request))
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "1", "text": url}) + "\n")
    task = {"type": "annotation", "instruction": "x", "attachment": "{text}", "objects_to_annotate": ["car"]}
    label(job_factory(task=task, attachments={"check": "off"}))
    assert [body["attachment"] for body in bodies] == [url]
