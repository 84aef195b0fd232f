"""The types of the 2017 API as the current documentation shows them: numbers as texts, defaults left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labelflow.scale.models import Task, TaskStatus
from labelflow.scale.task_types import task_type
from labelflow.tables.conforming import to_column
from tests.support.examples import FOLDER, examples, expected_columns, own_params

EXAMPLES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "today").glob("*.json"))
}
LEGACY = [name for name in EXAMPLES if name != "errors"]


def as_text(value: Any) -> str:
    """A value as a form would send it."""
    return str(value).lower() if isinstance(value, bool | int | float) else json.dumps(value).strip('"')


@pytest.mark.parametrize("name", LEGACY)
def test_request_keeps_its_parameters(name: str) -> None:
    model = task_type(name).validate(own_params(EXAMPLES[name]["request"]))
    params = model.model_dump(exclude_none=True)
    pending = {"instruction": EXAMPLES[name]["task_pending"]["instruction"], **EXAMPLES[name]["task_pending"]["params"]}
    assert {key: as_text(params[key]) for key in pending} == {key: as_text(value) for key, value in pending.items()}


@pytest.mark.parametrize("name", LEGACY)
def test_response_fills_the_columns(name: str) -> None:
    example, tested = EXAMPLES[name], task_type(name)
    task = Task.parse(example["task_completed"])
    model = tested.response.model_validate(task.response).model_dump()
    for column in tested.columns(example["request"]):
        [row] = to_column([model[column.name]], column.type).to_pylist()
        assert row == expected_columns(example).get(column.name)


@pytest.mark.parametrize(
    "example", [*[EXAMPLES[name] for name in LEGACY], *examples().values()], ids=lambda e: e["endpoint"]
)
def test_tasks_and_callbacks_are_read_whole(example: dict[str, Any]) -> None:
    pending, completed = Task.parse(example["task_pending"]), Task.parse(example["task_completed"])
    assert pending.raw == example["task_pending"]
    assert (pending.status, completed.status) == (TaskStatus.PENDING, TaskStatus.COMPLETED)
    assert completed.response == example["task_completed"]["response"]
    assert example["endpoint"] == f"POST /v1/task/{completed.type}"
    if "callback" in example:
        assert example["callback"]["response"] == Task.parse(example["callback"]["task"]).response == completed.response


def test_rotated_box_is_read() -> None:
    rotated = examples()["imageannotation"]["rotated_box"]
    tested = task_type("imageannotation")
    [shape] = tested.response.model_validate({"annotations": [rotated]}).model_dump()["annotations"]
    assert {key: value for key, value in shape.items() if value is not None} == rotated


def test_answers_of_several_respondents_are_read() -> None:
    tested = task_type("textcollection")
    response = examples()["textcollection"]["response_of_several_respondents"]
    model = tested.response.model_validate(response, context=tested.context({"responses_required": 3}))
    assert model.model_dump() == response
