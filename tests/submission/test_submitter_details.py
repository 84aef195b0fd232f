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
from labelflow.errors import Cancelled, UsageError
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning import plan as planning
from labelflow.planning.plan import Plan
from labelflow.submission import reconciliation
from tests.conftest import Scripted
from tests.submission.test_submitter import ROWS, Answer, Api, Fault
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.s3_servers import use_s3
from tests.support.stale_leases import break_off, marks, since

LOST = Answer(made=True, sent=None)
NOT_MADE = Answer(made=False, sent=(500, {"error": "oops"}, {}))
ODD = Answer(made=True, sent=(200, {"ok": 1}, {}))
NO_FAULT: Fault = lambda *_: None  # noqa: E731
BEHIND = timedelta(minutes=5)


def every_third(answer: Answer) -> Fault:
    return lambda number, request: answer if number % 3 == 1 else None


def of_row(row_id: str, answer: Answer) -> Fault:
    """The first creation for a row meets a fault."""
    seen: list[str] = []

    def fault(number: int, request: dict[str, Any]) -> Answer | None:
        if request["metadata"]["row_id"] != row_id or seen:
            return None
        seen.append(row_id)
        return answer

    return fault


class LateApi(Api):
    """An API whose clock is behind ours, and which heeds `start_time`: later than it, not at it."""

    def _create(self, request: dict[str, Any]) -> Any:
        count = len(self.tasks)
        answer = super()._create(request)
        if len(self.tasks) > count:
            made = self.tasks[-1]
            made["created_at"] = (datetime.fromisoformat(made["created_at"]) - BEHIND).isoformat(
                timespec="milliseconds"
            )
            if answer and answer[0] == 200 and isinstance(answer[1], dict) and "task_id" in answer[1]:
                answer[1]["created_at"] = made["created_at"]
        return answer

    def _list(self, query: dict[str, list[str]]) -> Any:
        status, page, headers = super()._list(query)
        since = query.get("start_time", ["1970-01-01T00:00:00Z"])[0]
        docs = [task for task in page["docs"] if datetime.fromisoformat(task["created_at"]) > moment(since)]
        return status, {**page, "docs": docs, "total": len(docs)}, headers


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def the_job(tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    write_rows(tmp_path, range(ROWS))

    def made(**changes: Any) -> Job:
        defaults = {"scale": {"url": scripted.url}, "submit": {"concurrency": 4}}
        return make_job(tmp_path, **{**defaults, "collect": {"poll_interval": "0.1s", "timeout": "5s"}, **changes})

    return made


def write_rows(tmp_path: Path, numbers: Any) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in numbers]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_lost_task_is_found_though_the_servers_clock_is_behind(
    scripted: Scripted, the_job: Callable[..., Job]
) -> None:
    api = LateApi(scripted, False, every_third(LOST))
    assert label(the_job()).labeled == ROWS
    assert len(api.tasks) == ROWS
    looks = [path for method, path, _, _ in scripted.requests if method == "GET" and "start_time" in path]
    assert all("type=categorization" in path for path in looks)


def test_a_crashs_task_is_found_though_the_servers_clock_is_behind(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    api = LateApi(scripted, False, of_row("r4", ODD))
    assert label(the_job()).not_submitted == 1
    assert (label(the_job()).recovered, len(api.tasks)) == (1, ROWS)
    assert not marks(tmp_path / "out")


def test_another_jobs_tasks_are_not_taken_for_lost_ones(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    first = Api(scripted, False, NO_FAULT)
    label(the_job())
    api = Api(scripted, False, every_third(NOT_MADE))
    api.tasks = first.tasks
    other = the_job(name="other", output=str(tmp_path / "other"))
    label(other)
    assert len(api.tasks) == 2 * ROWS
    assert [task["metadata"]["job"] for task in api.tasks].count("other") == ROWS


def test_another_jobs_tasks_are_not_taken_for_those_of_a_crash(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    first = Api(scripted, False, NO_FAULT)
    label(the_job())
    api = Api(scripted, False, of_row("r4", NOT_MADE))
    api.tasks = first.tasks
    break_off(tmp_path / "other", datetime(2026, 1, 1, tzinfo=UTC))
    summary = label(the_job(name="other", output=str(tmp_path / "other")))
    assert (summary.created, summary.recovered, summary.rejected) == (ROWS, 0, 0)


def test_a_foreign_task_that_holds_the_id_is_not_adopted(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    foreign = f"{0xABC:024x}"

    def fault(number: int, request: dict[str, Any]) -> Answer | None:
        if request["metadata"]["row_id"] != "r3":
            return None
        metadata = {**request["metadata"], "job": "another"}
        task = {"task_id": foreign, "type": "categorization", "status": "completed", "metadata": metadata}
        api.tasks.append({**task, "unique_id": request["unique_id"], "response": {"category": "b"}})
        return Answer(False, (409, {"error": f"is already used for a different task ({foreign})."}, {}))

    api = Api(scripted, True, fault)
    summary = label(the_job())
    assert (summary.labeled, summary.rejected, summary.recovered) == (ROWS - 1, 1, 0)
    assert foreign not in set(pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")["task_id"])


@pytest.mark.parametrize("words", ["{error}", "The id is taken."])
def test_the_holder_of_an_id_is_found_by_it_where_its_task_is_not_named(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path, words: str
) -> None:
    class Reticent(Api):
        def answer(self, method: str, path: str, body: bytes) -> Any:
            if method == "GET" and "/tasks" not in path:
                return 404, {"error": "There is none."}, {}
            given = super().answer(method, path, body)
            if given and given[0] == 409:
                return 409, {"error": words.format(error=given[1]["error"])}, {}
            return given

    api = Reticent(scripted, True, NO_FAULT)
    label(the_job())
    assert label(the_job(output=str(tmp_path / "elsewhere"))).recovered == ROWS
    assert len(api.tasks) == ROWS


def test_what_a_crash_left_is_settled_though_its_row_is_gone_where_the_server_knows_ids(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    Api(scripted, True, of_row("r4", ODD))
    label(the_job())
    assert marks(tmp_path / "out")
    write_rows(tmp_path, [number for number in range(ROWS) if number != 4])
    label(the_job())
    assert not marks(tmp_path / "out")


def test_what_a_crash_left_stays_open_until_its_row_has_come_by(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    api = Api(scripted, False, of_row("r9", ODD))
    label(the_job())
    before = since(tmp_path / "out")
    label(the_job(), limit=3)
    assert since(tmp_path / "out") == before, "the tasks of the crash are older than this run"
    assert label(the_job()).recovered == 1
    assert len(api.tasks) == ROWS
    assert not marks(tmp_path / "out")


def test_a_run_that_follows_a_crash_does_not_forget_since_when(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    Api(scripted, False, of_row("r9", ODD))
    label(the_job())
    before = since(tmp_path / "out")
    time.sleep(0.01)
    with closing(LabelRun(Plan(the_job()))) as run:
        for chunk in run.chunks():
            run.submit(chunk)
        assert since(tmp_path / "out") == before


def test_a_refused_row_leaves_its_place_under_the_cap_to_another(
    scripted: Scripted, the_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "CHUNK_ROWS", 4)
    api = Api(scripted, True, of_row("r0", Answer(False, (400, {"error": "too rude"}, {}))))
    summary = label(the_job(submit={"concurrency": 4, "max_tasks": ROWS - 1}))
    assert (summary.created, summary.rejected, summary.not_submitted) == (ROWS - 1, 1, 0)
    assert len(api.tasks) == ROWS - 1


def test_the_cap_holds_over_chunks(
    scripted: Scripted, the_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "CHUNK_ROWS", 4)
    api = Api(scripted, True, NO_FAULT)
    summary = label(the_job(submit={"max_tasks": 6}), wait=False)
    assert (summary.created, summary.not_submitted, len(api.tasks)) == (6, 6, 6)


def test_a_stop_ends_the_chunk_and_keeps_what_was_made(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    stop = StopToken()
    api = Api(scripted, True, lambda number, _: stop.set() if number == 3 else None)
    with closing(LabelRun(Plan(the_job(submit={"concurrency": 1}), stop=stop))) as run, pytest.raises(Cancelled):
        run.submit(next(run.chunks()))
    assert len(api.tasks) == 3
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert set(recorded["task_id"]) == {task["task_id"] for task in api.tasks}


def test_a_stop_ends_the_pause_before_a_retry(scripted: Scripted, the_job: Callable[..., Job]) -> None:
    stop = StopToken()
    wait = Answer(False, (503, {"error": "busy"}, {"Retry-After": "8"}))

    def fault(number: int, request: dict[str, Any]) -> Answer | None:
        if number > 1:
            return None
        threading.Timer(0.2, stop.set).start()
        return wait

    Api(scripted, True, fault)
    with closing(LabelRun(Plan(the_job(submit={"concurrency": 1}), stop=stop))) as run:
        start = time.monotonic()
        with pytest.raises(Cancelled):
            run.submit(next(run.chunks()))
        assert time.monotonic() - start < 4


def test_the_rate_is_kept(scripted: Scripted, the_job: Callable[..., Job]) -> None:
    moments: list[float] = []
    Api(scripted, True, lambda *_: moments.append(time.monotonic()))
    begun = time.monotonic()
    label(the_job(submit={"rate": "20/s"}))
    assert moments[-1] - begun > (ROWS - 1) / 20 * 0.9


def test_pauses_grow_and_end_with_the_patience(scripted: Scripted, the_job: Callable[..., Job]) -> None:
    Api(scripted, True, NO_FAULT)
    with closing(LabelRun(Plan(the_job(collect={"poll_interval": "0.3s", "timeout": "0.9s"})))) as run:
        waited = list(itertools.islice(run.intervals(), 20))
    assert waited[:2] == [0.2, 0.3]
    assert len(waited) <= 4


def test_the_cost_is_of_all_tasks(scripted: Scripted, the_job: Callable[..., Job]) -> None:
    Api(scripted, True, NO_FAULT)
    job = the_job(submit={"price_per_task": 0.5})
    assert label(job).cost == ROWS * 0.5
    assert label(job).cost == ROWS * 0.5


def test_a_folder_is_of_one_task_type(scripted: Scripted, the_job: Callable[..., Job]) -> None:
    Api(scripted, True, NO_FAULT)
    label(the_job())
    with pytest.raises(UsageError, match="holds the job 'job' \\(categorization\\), not 'job' \\(other\\)"):
        label(the_job(task={"type": "other", "attachment_type": "text", "attachment": "{text}"}))


ATTACHED: list[tuple[dict[str, Any], Callable[[dict[str, Any]], list[str]], bool]] = [
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


@pytest.mark.parametrize(("task", "given", "signed"), ATTACHED, ids=["one", "several", "text"])
def test_s3_attachments_are_sent_signed_and_texts_as_they_are(
    scripted: Scripted,
    the_job: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    task: dict[str, Any],
    given: Callable[[dict[str, Any]], list[str]],
    signed: bool,
) -> None:
    use_s3(monkeypatch, "http://127.0.0.1:9")
    bodies: list[dict[str, Any]] = []
    Api(scripted, True, lambda number, request: bodies.append(request))
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "1", "text": "k"}) + "\n")
    label(the_job(task=task, attachments={"check": "off", "presign": "2h"}))
    values = given(bodies[0])
    assert values
    for value in values:
        if signed:
            url = urlsplit(value)
            assert (url.netloc, url.path) == ("127.0.0.1:9", "/b/k.jpg")
            assert parse_qs(url.query)["X-Amz-Expires"] == ["7200"]
        else:
            assert value == "s3://b/k.jpg"
    assert bodies[0].get("urgency") == task.get("urgency")
    assert not any(b"X-Amz" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_a_task_carries_the_columns_and_the_identity_of_its_row(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    bodies: list[dict[str, Any]] = []
    Api(scripted, True, lambda number, request: bodies.append(request))
    label(the_job(metadata=["text"]))
    body = next(body for body in bodies if body["metadata"]["row_id"] == "r3")
    fingerprint = body["metadata"].pop("fingerprint")
    assert fingerprint
    uri = str(tmp_path / "manifest.jsonl")
    assert body["metadata"] == {"text": "text 3", "job": "job", "row_id": "r3", "manifest": uri}
    assert body["unique_id"] == "job/r3"


def test_a_refused_second_task_tells_that_no_list_need_be_searched(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    first = Api(scripted, True, NO_FAULT)
    label(the_job())
    api = Api(scripted, True, of_row("r5", NOT_MADE))
    api.tasks = first.tasks
    scripted.requests.clear()
    assert label(the_job(submit={"concurrency": 1}, output=str(tmp_path / "elsewhere"))).recovered == ROWS
    assert not [path for _, path, _, _ in scripted.requests if "start_time" in path and "status" not in path]


def test_it_is_written_down_that_tasks_are_coming_before_the_first_is_made(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    seen: list[int] = []
    Api(scripted, True, lambda *_: seen.append(len(marks(tmp_path / "out"))))
    label(the_job())
    assert seen == [1] * ROWS
    assert not marks(tmp_path / "out")


def test_the_holder_of_an_id_is_found_though_the_list_lags(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "LISTING_LAG", 2.0)

    class Lagging(Api):
        looks = 0

        def answer(self, method: str, path: str, body: bytes) -> Any:
            given = super().answer(method, path, body)
            if given and given[0] == 409:
                return 409, b"no JSON, and so no id", {}
            if "unique_id=" in path:
                Lagging.looks += 1
                return (200, {"docs": [], "total": 0, "has_more": False}, {}) if Lagging.looks % 2 else given
            return given

    api = Lagging(scripted, True, NO_FAULT)
    label(the_job())
    assert label(the_job(submit={"concurrency": 1}, output=str(tmp_path / "elsewhere"))).recovered == ROWS
    assert len(api.tasks) == ROWS


def test_a_lost_task_that_is_listed_damaged_is_not_made_again(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    class Damaging(Api):
        def _list(self, query: dict[str, list[str]]) -> Any:
            status, page, headers = super()._list(query)
            return status, {**page, "docs": [{**doc, "task_id": None} for doc in page["docs"]]}, headers

    api = Damaging(scripted, False, of_row("r4", LOST))
    summary = label(the_job(), wait=False)
    assert (len(api.tasks), summary.outcome_unknown) == (ROWS, 1)
    healed = Api(scripted, False, NO_FAULT)
    healed.tasks = api.tasks
    assert label(the_job()).recovered == 1
    assert len(api.tasks) == ROWS


def test_a_holder_that_is_told_oddly_leaves_its_row_to_the_next_run(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    class Odd(Api):
        def answer(self, method: str, path: str, body: bytes) -> Any:
            if method == "GET" and path.endswith(f"{5:024x}"):
                return 200, {"ok": 1}, {}
            return super().answer(method, path, body)

    first = Api(scripted, True, NO_FAULT)
    label(the_job(submit={"concurrency": 1}))
    api = Odd(scripted, True, NO_FAULT)
    api.tasks = first.tasks
    elsewhere = the_job(output=str(tmp_path / "elsewhere"))
    assert (label(elsewhere, wait=False).outcome_unknown, len(api.tasks)) == (1, ROWS)
    scripted.answer = first.answer
    assert (label(elsewhere).labeled, len(api.tasks)) == (ROWS, ROWS)


def test_a_list_that_ends_early_proves_no_row_to_be_without_a_task(
    scripted: Scripted, the_job: Callable[..., Job], tmp_path: Path
) -> None:
    class Forgetful(Api):
        forgets = True

        def answer(self, method: str, path: str, body: bytes) -> Any:
            given = super().answer(method, path, body)
            if given and self.forgets and "start_time=" in path and "status=" not in path:
                return 200, {"docs": [], "total": len(self.tasks), "has_more": False}, {}
            return given

    api = Forgetful(scripted, False, every_third(LOST))
    first = label(the_job(), wait=False)
    assert first.outcome_unknown > 0
    api.forgets = False
    assert label(the_job()).labeled == ROWS
    assert len(api.tasks) == ROWS
