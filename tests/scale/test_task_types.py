"""Each task type against the API: examples, limits, and fake responses."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import ValidationError

from labelflow.media import Duration, Media
from labelflow.problems import problems
from labelflow.scale.task_types import known_types, place_files, task_type, unknown_keys
from labelflow.tables.conforming import to_column
from tests.support.examples import examples, expected_columns, own_params

EXAMPLES = examples()


def test_every_documented_type_has_a_module() -> None:
    assert sorted(EXAMPLES) == sorted(known_types)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_request_is_accepted_with_its_params(name: str) -> None:
    model = task_type(name).params.model_validate(own_params(EXAMPLES[name]["request"]))
    params = model.model_dump(exclude_none=True)
    assert params.pop("instruction", None) == EXAMPLES[name]["task_pending"].get("instruction")
    assert params == EXAMPLES[name]["task_pending"]["params"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_response_fills_exactly_the_columns(name: str) -> None:
    tested, example = task_type(name), EXAMPLES[name]
    columns = tested.columns(example["request"])
    model = tested.response.model_validate(
        example["task_completed"]["response"], context=tested.context(example["request"])
    )
    response = model.model_dump(include={column.name for column in columns})
    expected = expected_columns(example)
    assert {column.name for column in columns} >= set(expected)
    for column in columns:
        assert to_column([response[column.name]], column.type).to_pylist() == [expected.get(column.name)], column.name


INVALID_REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("annotation", {"objects_to_annotate": list("abcdefg")}, "objects_to_annotate", "has 7 objects"),
    ("annotation", {"objects_to_annotate": []}, "objects_to_annotate", "is empty"),
    ("annotation", {"attachment": "ftp://media.example.com/a.jpg"}, "attachment", "ftp://"),
    ("annotation", {"attachment": "http://media.example.com/a b.jpg"}, "attachment", "white space"),
    ("annotation", {"attachment": None}, "attachment", "is required"),
    ("annotation", {"min_width": -1}, "min_width", "got -1"),
    ("annotation", {"attachment_type": "video"}, "attachment_type", "got 'video'"),
    ("lineannotation", {"objects_to_annotate": list("abcd")}, "objects_to_annotate", "has 4 objects"),
    ("polygonannotation", {"objects_to_annotate": list("abcdefg")}, "objects_to_annotate", "has 7 objects"),
    ("categorization", {"category_ids": {"c1": "cow"}}, "", "'cow'"),
    ("categorization", {"categories": []}, "categories", "is empty"),
    ("categorization", {"attachment_type": "text", "attachment": " "}, "attachment", "is empty"),
    ("categorization", {"instruction": ""}, "instruction", "is empty"),
    ("comparison", {"attachments": ["https://media.example.com/a.jpg"]}, "attachments", "has 1"),
    ("comparison", {"choices": None, "fields": None}, "", "none of `choices` or `fields`"),
    ("transcription", {"fields": None, "repeatable_fields": None}, "", "none of `fields` or `repeatable_fields`"),
    ("transcription", {"attachment_type": "audio"}, "attachment_type", "got 'audio'"),
    ("datacollection", {"fields": {}}, "fields", "is empty"),
    ("datacollection", {"attachment_type": "pdf"}, "attachment_type", "got 'pdf'"),
    ("audiotranscription", {"verbatim": "perhaps"}, "verbatim", "got 'perhaps'"),
    ("imageannotation", {"attachment": None}, "attachment", "is required"),
    ("imageannotation", {"geometries": {}}, "geometries", "is empty"),
    ("imageannotation", {"geometries": {"box": {}}}, "geometries.box.objects_to_annotate", "is required"),
    ("imageannotation", {"geometries": {"boxs": {"objects_to_annotate": ["a"]}}}, "geometries", "`boxs`"),
    ("segmentannotation", {"labels": [f"l{i}" for i in range(51)]}, "labels", "has 51 labels"),
    ("segmentannotation", {"labels": []}, "labels", "is empty"),
    ("segmentannotation", {"labels": [{"choice": "a", "instance": True, "subchoice": []}]}, "labels[0]", "`subchoice`"),
    ("videoannotation", {"attachment": "https://media.example.com/a.mp4"}, "", "are both given"),
    ("videoannotation", {"attachments": None}, "", "none of `attachment` or `attachments`"),
    ("videoannotation", {"attachment_type": "video"}, "", "`attachment_type` is video"),
    ("videoannotation", {"frame_rate": 0}, "frame_rate", "got 0"),
    ("videoannotation", {"events_to_annotate": [""]}, "events_to_annotate[0]", "is empty"),
    ("videoplaybackannotation", {"attachment": None}, "", "none of `attachment` or `attachments`"),
    ("lidarannotation", {"labels": None}, "labels", "is required"),
    ("lidarannotation", {"attachments": ["frame.json"]}, "attachments[0]", "not a valid URL"),
    ("lidarannotation", {"max_distance_meters": -1}, "max_distance_meters", "got -1"),
    ("lidarsegmentation", {"attachments": None}, "", "none of `attachments` or `lidar_task`"),
    ("lidarlinking", {"lidar_task": ""}, "lidar_task", "is empty"),
    (
        "lidartopdown",
        {"geometries": {"point": {"objects_to_annotate": []}}},
        "geometries.point.objects_to_annotate",
        "em",
    ),
    ("textcollection", {"attachments": []}, "attachments", "is empty"),
    (
        "textcollection",
        {"attachments": [{"type": "audio", "content": "a.wav"}]},
        "attachments[0].content",
        "not a valid",
    ),
    ("textcollection", {"attachments": [{"type": "smell", "content": "a"}]}, "attachments[0].type", "got 'smell'"),
    ("textcollection", {"fields": [{"type": "text"}]}, "fields[0].field_id", "is required"),
    ("textcollection", {"fields": [{"type": "txt", "field_id": "a"}]}, "fields[0]", "'txt'"),
    ("textcollection", {"fields": [{"type": "category", "field_id": "a"}]}, "fields[0]", "without `choices`"),
    ("textcollection", {"fields": [{"type": "text", "field_id": "a"}] * 2}, "fields", "'a' twice"),
    ("textcollection", {"responses_required": 0}, "responses_required", "got 0"),
    ("namedentityrecognition", {"labels": 7}, "labels", "got 7"),
    ("namedentityrecognition", {"labels": []}, "labels", "is empty"),
    ("namedentityrecognition", {"text": " "}, "text", "is empty"),
    ("documenttranscription", {"features": [{"type": "block"}]}, "features[0].label", "is required"),
    ("documenttranscription", {"attachments": None}, "", "none of `attachment` or `attachments`"),
    ("documenttranscription", {"attachments": ["a.jpg"]}, "attachments[0]", "not a valid URL"),
    (
        "imageannotation",
        {"geometries": {"box": {"objects_to_annotate": ["car", {"subchoices": ["bus"]}]}}},
        "geometries.box.objects_to_annotate[1]",
        "`choice` is required",
    ),
    (
        "imageannotation",
        {"geometries": {"box": {"objects_to_annotate": ["a"], "can_rotate": True, "integer_pixels": True}}},
        "geometries.box",
        "`integer_pixels`",
    ),
    (
        "imageannotation",
        {"geometries": {"line": {"objects_to_annotate": ["a"], "min_vertices": 5, "max_vertices": 2}}},
        "geometries.line",
        "max_vertices 2",
    ),
    (
        "imageannotation",
        {"geometries": {"point": {"objects_to_annotate": ["a"], "connections": [{"pair": ["a"]}]}}},
        "geometries.point.connections[0].pair",
        "got",
    ),
    (
        "imageannotation",
        {"annotation_attributes": {"hidden": {"type": "categroy", "choices": ["a"]}}},
        "annotation_attributes.hidden",
        "'categroy'",
    ),
    (
        "imageannotation",
        {"annotation_attributes": {"hidden": {"type": "category"}}},
        "annotation_attributes.hidden",
        "without `choices`",
    ),
]


@pytest.mark.parametrize(("name", "change", "field", "reason"), INVALID_REQUESTS)
def test_exceeded_limit_names_the_field_and_the_error(
    name: str, change: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        task_type(name).validate({**own_params(EXAMPLES[name]["request"]), **change})
    [problem] = problems(caught.value)
    assert problem.field == field
    assert reason in problem.reason
    assert problem.fix


def test_limit_is_inclusive() -> None:
    request = own_params(EXAMPLES["annotation"]["request"])
    task_type("annotation").params.model_validate({**request, "objects_to_annotate": list("abcdef")})


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("seed", range(20))
def test_fake_response_is_valid_and_deterministic(name: str, seed: int) -> None:
    tested = task_type(name)
    params = tested.params.model_validate(own_params(EXAMPLES[name]["request"])).model_dump(exclude_none=True)
    media = [Media("image", width=123, height=77, duration=Duration(7.5))]
    response = tested.fake_response(params, media, random.Random(seed))
    tested.response.model_validate(place_files(response, lambda file: file.name))
    assert response == tested.fake_response(params, media, random.Random(seed))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (19, 300), (640, 480)])
def test_shapes_are_inside_the_image(width: int, height: int) -> None:
    media = [Media("image", width=width, height=height)]
    for name in ("annotation", "lineannotation", "polygonannotation"):
        params = task_type(name).params.model_validate(own_params(EXAMPLES[name]["request"])).model_dump()
        for seed in range(50):
            for shape in task_type(name).fake_response(params, media, random.Random(seed))["annotations"]:
                assert shape["label"] in params["objects_to_annotate"]
                for point in shape.get("vertices", []):
                    assert 0 <= point["x"] < width
                    assert 0 <= point["y"] < height
                if "left" in shape:
                    assert 0 <= shape["left"] <= shape["left"] + shape["width"] <= width
                    assert 0 <= shape["top"] <= shape["top"] + shape["height"] <= height
                    assert shape["width"] >= min(params["min_width"], width)
                    assert shape["height"] >= min(params["min_height"], height)


def test_an_alignment_spans_the_recording() -> None:
    params = task_type("audiotranscription").params.model_validate({"attachment": "https://x.example/a.wav"})
    response = task_type("audiotranscription").fake_response(
        params.model_dump(), [Media("audio", duration=Duration(12.5))], random.Random(3)
    )
    assert response["alignment"][0]["start"] == 0
    assert response["alignment"][-1]["end"] == response["duration"] == 12.5
    assert {word["confidence"] for word in response["alignment"]} <= {0.9, 0.3}
    assert " ".join(word["word"] for word in response["alignment"]) == response["transcript"].lower().rstrip(".")


def test_unknown_type_is_passed_through() -> None:
    generic = task_type("sensorfusion")
    params = generic.validate({"frames": [1, {"a": 2}]})
    assert params.model_dump(exclude_none=True) == {"frames": [1, {"a": 2}]}
    assert generic.columns({}) == []


def test_missing_parameters_are_named_unless_the_project_has_them() -> None:
    comparison = task_type("comparison")
    assert comparison.missing({"instruction": "Same?", "attachments": None}) == [
        ("attachment_type",),
        ("attachments",),
        ("choices", "fields"),
    ]
    in_project = {"attachment_type": "image", "fields": {"a": "A?"}, "instruction": "Other?"}
    assert comparison.missing({"instruction": "Same?", "attachments": []}, in_project) == []
    assert task_type("sensorfusion").missing({}) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_project_may_stand_in_for_any_parameter(name: str) -> None:
    request = own_params(EXAMPLES[name]["request"])
    for left_out in request:
        task_type(name).validate({key: value for key, value in request.items() if key != left_out}, in_project=True)
    assert task_type(name).missing({}, request) == []
    with pytest.raises(ValidationError):
        task_type(name).validate({})


@pytest.mark.parametrize("name", EXAMPLES)
def test_sandbox_answers_a_task_whose_parameters_are_in_the_project(name: str) -> None:
    params = task_type(name).validate({}, in_project=True).model_dump(exclude_none=True)
    task_type(name).fake_response(params, [], random.Random(1))


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        task_type("imageannotation").validate({"attachment_type": "video", "priority": "high"})
    assert [problem.field for problem in problems(caught.value)] == [
        "attachment", "geometries", "priority", "attachment_type",
    ]  # fmt: skip


def test_unknown_parameters_are_found_wherever_they_are() -> None:
    request = {"geometries": {"box": {"objects_to_annotate": ["a"], "color": "red"}}, "mode": "x"}
    request["annotation_attributes"] = {"hidden": {"choices": ["a"], "shown": {"if": 1}}}
    model = task_type("imageannotation").validate(request, in_project=True)
    assert list(unknown_keys(model)) == ["geometries.box.color", "annotation_attributes.hidden.shown", "mode"]
