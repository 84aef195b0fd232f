"""`textcollection`: its columns, and every form in which the answers may arrive."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from labelflow.scale.task_types import task_type
from labelflow.tables.conforming import to_column

TYPE = task_type("textcollection")
CHOICES = [{"label": "Calm", "value": "calm"}, {"label": "Angry", "value": "angry"}, {"label": "Sad", "value": "sad"}]
FIELDS: list[dict[str, Any]] = [
    {"type": "category", "field_id": "tone", "choices": CHOICES, "min_choices": 1, "max_choices": 2},
    {"type": "text", "field_id": "summary"},
    {"type": "number", "field_id": "speakers"},
    {"type": "boolean", "field_id": "noisy"},
    {"type": "date", "field_id": "day"},
]
ANSWER = {"tone": ["calm"], "summary": "An invoice.", "speakers": 2.0, "noisy": True, "day": "2026-03-01"}


def read(annotations: Any, responses_required: Any = None, fields: Any = FIELDS) -> Any:
    """The column of a response."""
    params = {"fields": fields, "responses_required": responses_required}
    [column] = TYPE.columns(params)
    response = annotations if isinstance(annotations, str) else {"annotations": annotations}
    model = TYPE.response.model_validate(response, context=TYPE.context(params)).model_dump()
    [row] = to_column([model["annotations"]], column.type).to_pylist()
    return row


def documented(values: dict[str, list[Any]]) -> dict[str, Any]:
    """Answers in the documented form. values: a list of values per annotator."""
    return {name: {"type": "x", "field_id": name, "response": response} for name, response in values.items()}


FORMS: dict[str, Any] = {
    "documented": documented(
        {
            "tone": [["calm"]],
            "summary": [["An invoice."]],
            "speakers": [[2]],
            "noisy": [[True]],
            "day": [["2026-03-01"]],
        }
    ),
    "one level": documented(
        {"tone": ["calm"], "summary": ["An invoice."], "speakers": [2], "noisy": [True], "day": ["2026-03-01"]}
    ),
    "values": {"tone": ["calm"], "summary": "An invoice.", "speakers": "2", "noisy": "yes", "day": "2026-03-01"},
}
FORMS["list"] = list(FORMS["documented"].values())
FORMS["JSON"] = json.dumps({"annotations": FORMS["documented"]})
FORMS["annotations as JSON"] = json.dumps(FORMS["documented"])


@pytest.mark.parametrize("form", [name for name in FORMS if name != "annotations as JSON"])
def test_answer_of_one_annotator_is_read_in_every_form(form: str) -> None:
    assert read(FORMS[form]) == ANSWER


def test_annotations_may_be_json() -> None:
    params = {"fields": FIELDS}
    model = TYPE.response.model_validate({"annotations": FORMS["annotations as JSON"]}, context=TYPE.context(params))
    assert model.model_dump()["annotations"]["tone"] == ["calm"]


def test_several_values_of_one_annotator_are_one_list() -> None:
    assert read(documented({"tone": [["calm", "sad"]]}))["tone"] == ["calm", "sad"]
    assert read({"tone": ["calm", "sad"]})["tone"] == ["calm", "sad"]


@pytest.mark.parametrize("required", [3, "3", "{annotators}"])
def test_answers_of_several_annotators_are_a_list(required: Any) -> None:
    several = documented({"tone": [["calm"], ["angry", "sad"], ["calm"]], "summary": [["a"], ["b"], []]})
    row = read(several, required)
    assert row["tone"] == [["calm"], ["angry", "sad"], ["calm"]]
    assert row["summary"] == ["a", "b", "[]"]
    assert row["speakers"] is None
    assert read(documented({"tone": [["angry", "sad"]]}), required)["tone"] == [["angry", "sad"]]
    assert read({"tone": ["calm", "angry", "calm"]}, required)["tone"] == [["calm"], ["angry"], ["calm"]]


@pytest.mark.parametrize("fields", [None, "{fields}", ["{field}"]])
def test_answers_to_unknown_fields_are_a_map(fields: Any) -> None:
    answers = documented({"tone": [["calm"]], "speakers": [[2]], "tags": [["a", "b"]]})
    assert read(answers, fields=fields) == [("tone", "calm"), ("speakers", "2"), ("tags", '["a","b"]')]


def test_sandbox_answers_within_the_limits() -> None:
    for seed in range(50):
        response = TYPE.fake_response({"fields": FIELDS, "responses_required": 2}, [], random.Random(seed))
        answers = {name: answer["response"] for name, answer in response["annotations"].items()}
        assert {len(answer) for answer in answers.values()} == {2}
        assert all(1 <= len(values) <= 2 for values in answers["tone"])
        assert {value for values in answers["tone"] for value in values} <= {"calm", "angry", "sad"}
        row = read(response["annotations"], 2)
        assert all(value is not None for answers in row.values() for value in answers)
