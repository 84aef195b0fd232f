"""Malformed API responses: no row is lost, no row gets a second task, no run fails."""

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
from tests.conftest import StubServer
from tests.properties.conftest import case_folder, cases, check_readable, time_limit
from tests.properties.malformed_api import Malformation, MalformedApi, MalformedPage
from tests.properties.strategies import anything, scalars
from tests.support.examples import examples, expected_columns, own_params
from tests.support.jobs import make_job

SECONDS = 30.0  # for one run
PASSES = 3  # collections of a run
EXAMPLES = examples()
TASKS = {name: {"type": name, **own_params(example["request"])} for name, example in EXAMPLES.items()}
TASKS["untyped"] = {"type": "sensorfusion", "instruction": "?", "attachment": "https://a.example/b"}
DOCUMENTED_RESPONSES = {name: example["task_completed"]["response"] for name, example in EXAMPLES.items()} | {
    "untyped": {"a": [1]}
}

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
not_strings: st.SearchStrategy[Any] = st.sampled_from([..., None, "", 3, [], {}, True])
errors = st.sampled_from(
    [{"error": "Not downloaded."}, {"error": None}, {"error": ""}, {"error": []}, {"error": {"a": 1}}]
)


@st.composite
def responses(draw: st.DrawFn, documented: Any) -> Any:
    """The documented response, one with a change, or any value."""
    kind = draw(st.sampled_from(["documented", "documented", "changed", "changed", "error", "anything"]))
    if kind == "changed":
        return mutate(draw, copy.deepcopy(documented))
    return draw({"documented": st.just(documented), "error": errors, "anything": anything}[kind])


def mutate(draw: st.DrawFn, value: Any) -> Any:
    """The value with one part replaced by a value of another type."""
    descend = draw(st.integers(0, 3)) > 0
    if isinstance(value, dict) and value and descend:
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: mutate(draw, value[key])}
    if isinstance(value, list) and value and descend:
        return [mutate(draw, value[0]), *value[1:]]
    as_url = {"url": "https://a.example/annotations.json"}
    others = [None, [], {}, as_url, {"x": value}, [value], [None, value], str(value)]
    return draw(st.sampled_from(others) | scalars | anything)


unreadable_changes: st.SearchStrategy[Any] = st.fixed_dictionaries({"task_id": not_strings}) | st.fixed_dictionaries(
    {"status": st.sampled_from([..., None, 3, [], {}])}
)
harmless_changes = st.fixed_dictionaries(
    {},
    optional={
        "created_at": times,
        "completed_at": times,
        "metadata": st.sampled_from([..., None, [], "x", {}]),
        "unknown": anything,
        "unique_id": not_strings,
        "params": anything,
    },
)


def without_metadata(changes: dict[str, Any]) -> dict[str, Any]:
    """A response to a creation is harmless only if its metadata says that it belongs to the request."""
    return {key: value for key, value in changes.items() if key != "metadata"}


extra_docs: st.SearchStrategy[Any] = st.lists(
    st.sampled_from([None, 3, "x", [], {}, {"task_id": "f" * 24}, {"status": "completed"}]), max_size=2
)
invalid_task_responses: st.SearchStrategy[Any] = st.sampled_from(
    [b"", b"{", b"\xff", None, 3, "x", [], {}, {"task_id": None}]
).map(lambda answer: (200, answer, {}))
error_responses: st.SearchStrategy[Any] = st.sampled_from(
    [(code, {"error": "odd"}, {}) for code in (201, 204, 302, 408, 429, 500, 503, 600)]
)
malformed_pages = st.builds(
    MalformedPage,
    changes=st.fixed_dictionaries(
        {},
        optional={
            "docs": st.sampled_from([..., None, {}, "x", [None], []]),
            "total": st.sampled_from([..., None, "many", -1, 0, 10**9, 1.5]),
            "has_more": st.sampled_from([..., None, "no", 0, True, False]),
            "next_token": st.sampled_from([..., None, "", 3, "0"]),
        },
    ),
    response=st.none() | st.none() | invalid_task_responses | error_responses,
    repeats=st.booleans(),
)


class FastStop(StopToken):
    """A stop token that does not wait between retries."""

    def sleep(self, seconds: float) -> None:
        self.check()


@pytest.fixture(autouse=True)
def _key() -> Any:
    with mock.patch.dict(os.environ, {"SCALE_API_KEY": "test_x"}):
        yield


@st.composite
def scenarios(
    draw: st.DrawFn, malformations: st.SearchStrategy[Malformation]
) -> tuple[str, dict[str, Any], dict[str, Malformation]]:
    """A task type, and for each row its answer and its malformation."""
    name = draw(st.sampled_from(sorted(TASKS)))
    rows = [str(number) for number in range(draw(st.integers(1, 4)))]
    return (
        name,
        {row: draw(responses(DOCUMENTED_RESPONSES[name])) for row in rows},
        {row: draw(malformations) for row in rows},
    )


def job_for(folder: Path, stub_server: StubServer, name: str, rows: dict[str, Any]) -> Job:
    """A job of this task type with these rows."""
    (folder / "manifest.jsonl").write_text("".join(json.dumps({"id": row}) + "\n" for row in rows))
    url = f"{stub_server.url}"
    return make_job(folder, task=TASKS[name], attachments={"check": "off"}, scale={"url": url}, max_unlabeled=1.0)


def run_job(job: Job) -> Summary | None:
    """Run the job; None if the run ended early with an error message."""
    try:
        with time_limit(SECONDS), closing(LabelRun(Plan(job, stop=FastStop()))) as run:
            for chunk in run.plan.chunks():
                run.dispatcher.submit(chunk)
            run.finish_submission()
            for _ in range(PASSES):
                run.collect()
            return run.finish()
    except (LabelflowError, ScaleError) as error:
        check_readable(str(error))
        if isinstance(error, CountMismatch):
            raise
        return None


def as_json(response: Any) -> Any:
    """The response after a JSON round trip; lone surrogates and NaN are lost."""
    text = json.dumps(response, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return orjson.loads(json.dumps(json.loads(text, parse_constant=lambda _: None)))


def is_label(response: Any) -> bool:
    """Whether the response is a label, not an error."""
    return response is not None and not (isinstance(response, dict) and response.get("error") is not None)


def is_documented(name: str, response: Any) -> bool:
    try:
        task_type(TASKS[name]["type"]).response.model_validate(response)
    except ValueError:
        return False
    return True


def read_output(folder: Path, table: str) -> dict[str, Any]:
    """The rows of labels/ or errors/ by their id."""
    path = folder / "out" / table
    rows = pq.read_table(path, partitioning=None).to_pylist() if list(path.glob("*.parquet")) else []
    assert len({row["row_id"] for row in rows}) == len(rows), "duplicate row"
    return {row["row_id"]: row for row in rows}


def check_output(folder: Path, name: str, expected: dict[str, Any]) -> None:
    """Check that each response is complete in labels/ or errors/."""
    labels, errors = read_output(folder, "labels"), read_output(folder, "errors")
    assert not labels.keys() & errors.keys()
    for row_id, response in expected.items():
        row = (labels if is_label(response) else errors)[row_id]
        assert orjson.loads(row["response_json"]) == response
        if is_label(response) and response == DOCUMENTED_RESPONSES[name]:
            for key, value in expected_columns(EXAMPLES[name]).items() if name in EXAMPLES else ():
                assert row[key] == value


@cases(default=40, share=0.5)
@given(
    situation=scenarios(
        st.builds(
            Malformation,
            in_creation=harmless_changes.map(without_metadata),
            in_listing=harmless_changes | harmless_changes | unreadable_changes,
            extra_docs=extra_docs,
        )
    ),
    supports_unique_id=st.booleans(),
)
def test_malformed_answer_is_kept_whole_and_does_not_stop_the_others(
    stub_server: StubServer, situation: tuple[str, dict[str, Any], dict[str, Malformation]], supports_unique_id: bool
) -> None:
    name, raw_answers, malformations = situation
    answers = {row_id: as_json(response) for row_id, response in raw_answers.items()}
    api = MalformedApi(raw_answers, malformations, [], supports_unique_id=supports_unique_id)
    stub_server.respond = api.respond
    with case_folder() as folder:
        summary = run_job(job_for(folder, stub_server, name, answers))
        assert summary, "the run ended early"
        assert len(api.tasks) == summary.created == len(answers)
        readable = {
            row_id: answer
            for row_id, answer in answers.items()
            if not {"task_id", "status"} & malformations[row_id].in_listing.keys()
        }
        check_output(folder, name, readable)
        labeled = [response for response in readable.values() if is_label(response)]
        assert (summary.labeled, summary.error) == (len(labeled), len(readable) - len(labeled))
        assert summary.pending == len(answers) - len(readable)
        assert summary.unparsed == sum(not is_documented(name, response) for response in labeled)


@cases(default=40, share=0.5)
@given(
    situation=scenarios(
        st.builds(
            Malformation,
            in_creation=harmless_changes | harmless_changes | unreadable_changes,
            creation_response=st.none() | st.none() | invalid_task_responses | error_responses,
            in_listing=harmless_changes,
        )
    ),
    pages=st.lists(malformed_pages, max_size=6),
)
def test_every_row_gets_one_task_and_its_answer_once_the_api_is_repaired(
    stub_server: StubServer, situation: tuple[str, dict[str, Any], dict[str, Malformation]], pages: list[MalformedPage]
) -> None:
    name, answers, malformations = situation
    api = MalformedApi(answers, malformations, pages, supports_unique_id=True)
    stub_server.respond = api.respond
    with case_folder() as folder:
        job = job_for(folder, stub_server, name, answers)
        for _ in range(2):
            run_job(job)
        api.repair()
        summary = run_job(job)
        assert summary, "the run ended early without a malformed response"
        created = Counter(task["metadata"]["row_id"] for task in api.tasks)
        assert created == dict.fromkeys(answers, 1)
        expected = {row_id: as_json(response) for row_id, response in answers.items()}
        check_output(folder, name, expected)
        assert summary.pending == summary.rejected == 0
        assert summary.labeled == sum(map(is_label, expected.values()))
