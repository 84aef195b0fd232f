"""An API whose answers are not what was promised: no row is lost, none gets a second task, nothing ends the run."""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelflow.accounting.summary import CountMismatch, Summary
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import LabelflowError
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.scale.errors import ScaleError
from labelflow.scale.task_types import task_type
from tests.conftest import Scripted
from tests.properties.conftest import case_folder, cases, check_message, within
from tests.properties.malformed_api import OddApi, Oddity, OddPage
from tests.properties.strategies import anything, scalars
from tests.support.examples import examples, own_params
from tests.support.jobs import make_job

SECONDS = 30.0  # for one run
LOOKS = 3  # at what came back
EXAMPLES = examples()
TASKS = {name: {"type": name, **own_params(made["request"])} for name, made in EXAMPLES.items()}
TASKS["untyped"] = {"type": "lidarannotation", "instruction": "?", "attachment": "https://a.example/b"}
PROMISED = {name: made["task_completed"]["response"] for name, made in EXAMPLES.items()} | {"untyped": {"a": [1]}}

times: st.SearchStrategy[Any] = st.sampled_from(
    [
        ...,
        None,
        0,
        "",
        "yesterday",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-11-23",
        "2026-11-23T10:00:00.123456789Z",
        [],
        {},
    ]
)
no_text: st.SearchStrategy[Any] = st.sampled_from([..., None, "", 3, [], {}, True])
errors = st.sampled_from(
    [{"error": "Not downloaded."}, {"error": None}, {"error": ""}, {"error": []}, {"error": {"a": 1}}]
)


@st.composite
def responses(draw: st.DrawFn, promised: Any) -> Any:
    """The promised response, one with something in it changed, or anything at all."""
    how = draw(st.sampled_from(["promised", "promised", "changed", "changed", "error", "anything"]))
    if how == "changed":
        return changed(draw, copy.deepcopy(promised))
    return draw({"promised": st.just(promised), "error": errors, "anything": anything}[how])


def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one thing in it removed, added, or of another kind."""
    inside = draw(st.integers(0, 3)) > 0
    if isinstance(value, dict) and value and inside:
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: changed(draw, value[key])}
    if isinstance(value, list) and value and inside:
        return [changed(draw, value[0]), *value[1:]]
    as_url = {"url": "https://a.example/annotations.json"}
    others = [None, [], {}, as_url, {"x": value}, [value], [None, value], str(value)]
    return draw(st.sampled_from(others) | scalars | anything)


unreadable: st.SearchStrategy[Any] = st.fixed_dictionaries({"task_id": no_text}) | st.fixed_dictionaries(
    {"status": st.sampled_from([..., None, 3, [], {}])}
)
harmless = st.fixed_dictionaries(
    {},
    optional={
        "created_at": times,
        "completed_at": times,
        "metadata": st.sampled_from([..., None, [], "x", {}]),
        "unknown": anything,
        "unique_id": no_text,
        "params": anything,
    },
)
holes: st.SearchStrategy[Any] = st.lists(
    st.sampled_from([None, 3, "x", [], {}, {"task_id": "f" * 24}, {"status": "completed"}]), max_size=2
)
no_tasks: st.SearchStrategy[Any] = st.sampled_from([b"", b"{", b"\xff", None, 3, "x", [], {}, {"task_id": None}]).map(
    lambda answer: (200, answer, {})
)
odd_statuses: st.SearchStrategy[Any] = st.sampled_from(
    [(code, {"error": "odd"}, {}) for code in (201, 204, 302, 408, 429, 500, 503, 600)]
)
odd_pages = st.builds(
    OddPage,
    changes=st.fixed_dictionaries(
        {},
        optional={
            "docs": st.sampled_from([..., None, {}, "x", [None], []]),
            "total": st.sampled_from([..., None, "many", -1, 0, 10**9, 1.5]),
            "has_more": st.sampled_from([..., None, "no", 0, True, False]),
            "next_token": st.sampled_from([..., None, "", 3, "0"]),
        },
    ),
    instead=st.none() | st.none() | no_tasks | odd_statuses,
    repeats=st.booleans(),
)


class Hurried(StopToken):
    """Does not wait between two tries."""

    def pause(self, seconds: float) -> None:
        self.check()


@pytest.fixture(autouse=True)
def _key() -> Any:
    with mock.patch.dict(os.environ, {"SCALE_API_KEY": "test_x"}):
        yield


@st.composite
def situations(draw: st.DrawFn, oddities: st.SearchStrategy[Oddity]) -> tuple[str, dict[str, Any], dict[str, Oddity]]:
    """A type, what people answer for each row, and what is wrong with each row's task."""
    name = draw(st.sampled_from(sorted(TASKS)))
    rows = [str(number) for number in range(draw(st.integers(1, 4)))]
    return name, {row: draw(responses(PROMISED[name])) for row in rows}, {row: draw(oddities) for row in rows}


def job_for(folder: Path, scripted: Scripted, name: str, rows: dict[str, Any]) -> Job:
    """A job of that type, with one row for each response."""
    (folder / "manifest.jsonl").write_text("".join(json.dumps({"id": row}) + "\n" for row in rows))
    url = f"{scripted.url}"
    return make_job(folder, task=TASKS[name], attachments={"check": "off"}, scale={"url": url}, max_unlabeled=1.0)


def carry_out(job: Job) -> Summary | None:
    """A run; None where one message says why it ended early."""
    try:
        with within(SECONDS), closing(LabelRun(Plan(job, stop=Hurried()))) as run:
            for chunk in run.chunks():
                run.submit(chunk)
            run.finish_submission()
            for _ in range(LOOKS):
                run.collect()
            return run.finish()
    except (LabelflowError, ScaleError) as error:
        check_message(str(error))
        if isinstance(error, CountMismatch):
            raise
        return None


def as_sent(response: Any) -> Any:
    """The response as JSON carries it; halves of characters and what is no number are lost there."""
    text = json.dumps(response, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return orjson.loads(json.dumps(json.loads(text, parse_constant=lambda _: None)))


def is_label(response: Any) -> bool:
    """Whether there is an answer, and it does not say that there is none."""
    return response is not None and not (isinstance(response, dict) and response.get("error") is not None)


def is_promised(name: str, response: Any) -> bool:
    try:
        task_type(TASKS[name]["type"]).response.model_validate(response)
    except ValueError:
        return False
    return True


def written(folder: Path, table: str) -> dict[str, Any]:
    """The rows of labels/ or errors/ by their id."""
    path = folder / "out" / table
    rows = pq.read_table(path, partitioning=None).to_pylist() if list(path.glob("*.parquet")) else []
    assert len({row["row_id"] for row in rows}) == len(rows), "a row is there twice"
    return {row["row_id"]: row for row in rows}


def check_written(folder: Path, name: str, expected: dict[str, Any]) -> None:
    """Each response is where it belongs, whole."""
    labels, trouble = written(folder, "labels"), written(folder, "errors")
    assert not labels.keys() & trouble.keys()
    for row_id, response in expected.items():
        row = (labels if is_label(response) else trouble)[row_id]
        assert orjson.loads(row["response_json"]) == response
        if is_label(response) and response == PROMISED[name]:
            for key, value in response.items() if TASKS[name]["type"] in EXAMPLES and name != "imageannotation" else ():
                assert row[key] == ([value] if key == "category" and isinstance(value, str) else value)


@cases(ordinary=40, share=0.5)
@given(
    situation=situations(st.builds(Oddity, created=harmless, listed=harmless | harmless | unreadable, beside=holes)),
    knows_ids=st.booleans(),
)
def test_an_odd_answer_is_kept_whole_and_does_not_stop_the_others(
    scripted: Scripted, situation: tuple[str, dict[str, Any], dict[str, Oddity]], knows_ids: bool
) -> None:
    name, answers, odd = situation
    answers = {row_id: as_sent(response) for row_id, response in answers.items()}
    api = OddApi(situation[1], odd, [], knows_ids=knows_ids)
    scripted.answer = api.answer
    with case_folder() as folder:
        summary = carry_out(job_for(folder, scripted, name, answers))
        assert summary, "the run ended early"
        assert len(api.tasks) == summary.created == len(answers)
        read = {row: answers[row] for row in answers if not {"task_id", "status"} & odd[row].listed.keys()}
        check_written(folder, name, read)
        labeled = [response for response in read.values() if is_label(response)]
        assert (summary.labeled, summary.error) == (len(labeled), len(read) - len(labeled))
        assert summary.pending == len(answers) - len(read)
        assert summary.unparsed == sum(not is_promised(name, response) for response in labeled)


@cases(ordinary=40, share=0.5)
@given(
    situation=situations(
        st.builds(
            Oddity,
            created=harmless | harmless | unreadable,
            instead=st.none() | st.none() | no_tasks | odd_statuses,
            listed=harmless,
        )
    ),
    pages=st.lists(odd_pages, max_size=6),
)
def test_once_the_api_answers_as_promised_every_row_has_one_task_and_its_answer(
    scripted: Scripted, situation: tuple[str, dict[str, Any], dict[str, Oddity]], pages: list[OddPage]
) -> None:
    name, answers, odd = situation
    api = OddApi(answers, odd, pages, knows_ids=True)
    scripted.answer = api.answer
    with case_folder() as folder:
        job = job_for(folder, scripted, name, answers)
        for _ in range(2):
            carry_out(job)
        api.mend()
        summary = carry_out(job)
        assert summary, "the run ended early although all is well"
        made = Counter(task["metadata"]["row_id"] for task in api.tasks)
        assert made == dict.fromkeys(answers, 1)
        expected = {row_id: as_sent(response) for row_id, response in answers.items()}
        check_written(folder, name, expected)
        assert summary.pending == summary.rejected == 0
        assert summary.labeled == sum(map(is_label, expected.values()))
