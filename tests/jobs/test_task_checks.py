"""The task of a job before any row is read: what is missing, misspelled or wrong whatever the rows are."""

from __future__ import annotations

from typing import Any

import pytest

from labelflow.jobs.task_checks import check_task, unknown_params
from labelflow.scale.task_types import known_types


@pytest.mark.parametrize("name", known_types)
def test_job_in_a_project_may_leave_out_parameters(name: str) -> None:
    assert check_task({"type": name, "project": "street"}) == []
    assert check_task({"type": name})


CALL = {"type": "audio", "content": "{uri}"}
FORM = {"type": "textcollection", "attachments": [CALL], "fields": [{"type": "text", "field_id": "{id}"}]}
BOXES: dict[str, Any] = {
    "type": "imageannotation",
    "attachment": "{uri}",
    "geometries": {"box": {"objects_to_annotate": ["car"]}},
}


@pytest.mark.parametrize(
    ("task", "field", "fix"),
    [
        ({**FORM, "attachments": [{"type": "audio", "contents": "{uri}"}]}, "task.attachments[0].content", "value"),
        ({**FORM, "attachments": [CALL, {"type": "sound", "content": "{uri}"}]}, "task.attachments[1].type", "audio"),
        ({**FORM, "fields": [{"type": "text", "field_id": "{a}", "required": "x"}]}, "task.fields[0].required", "true"),
        ({"type": "imageannotation", "attachment": "{uri}", "geometry": {}}, "task.geometry", "`geometries`"),
        ({**BOXES, "geometries": {"box": {"objects_to_annotate": ["{a}"], "min_width": -1}}},
         "task.geometries.box.min_width", "at least 0"),
    ],
)  # fmt: skip
def test_mistake_beside_a_value_of_the_row_is_found_before_any_row(task: dict[str, Any], field: str, fix: str) -> None:
    first = check_task(task)[0]
    assert first.field == field
    assert fix in first.fix


@pytest.mark.parametrize(
    "task",
    [
        FORM,
        {**FORM, "fields": [{"type": "text", "field_id": "{a}"}, {"type": "{kind}", "field_id": "{b}"}]},
        {**FORM, "attachments": [{"type": "{kind}", "content": "{uri}"}], "responses_required": "{n}"},
        {**BOXES, "geometries": {"box": {"objects_to_annotate": "{labels}", "min_width": "{n}"}}},
        {**BOXES, "geometries": {"box": {"objects_to_annotate": [{"choice": "{a}", "display": "{b}"}]}}},
        {**BOXES, "annotation_attributes": {"a": {"type": "{kind}", "choices": "{choices}"}}},
        {**BOXES, "geometries": "{geometries}", "context_attachments": [{"attachment": "{uri}"}]},
    ],
    ids=str,
)
def test_values_of_the_row_are_not_judged_before_it_is_read(task: dict[str, Any]) -> None:
    assert check_task(task) == []


def test_unknown_parameters_are_named_with_their_place() -> None:
    assert unknown_params({**BOXES, "mode": "x", "geometries": {**BOXES["geometries"], "blob": 1}}) == [
        "geometries.blob",
        "mode",
    ]
