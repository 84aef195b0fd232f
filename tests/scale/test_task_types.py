"""Each task type against the API: examples, limits, and fake responses."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from labelflow.media import Duration, Media
from labelflow.problems import problems
from labelflow.scale.task_types import known_types, task_type
from tests.support.examples import examples, own_params

EXAMPLES = examples()
DOCUMENTED_TYPES = [name for name in EXAMPLES if name != "imageannotation"]


def test_every_documented_type_has_a_module() -> None:
    assert sorted(DOCUMENTED_TYPES) == sorted(known_types)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_request_is_accepted_with_its_params(name: str) -> None:
    model = task_type(name).params.model_validate(own_params(EXAMPLES[name]["request"]))
    params = model.model_dump(exclude_none=True)
    assert params.pop("instruction", None) == EXAMPLES[name]["task_pending"].get("instruction")
    assert params == EXAMPLES[name]["task_pending"]["params"]


@pytest.mark.parametrize("name", DOCUMENTED_TYPES)
def test_response_fills_exactly_the_columns(name: str) -> None:
    tested, example = task_type(name), EXAMPLES[name]
    columns = tested.columns(example["request"])
    response = tested.response.model_validate(example["task_completed"]["response"]).model_dump(
        include={column.name for column in columns}
    )
    table = pa.Table.from_pylist([response], schema=pa.schema(columns))
    for key, value in example["task_completed"]["response"].items():
        assert table[key].to_pylist() == [value]


INVALID_REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("annotation", {"objects_to_annotate": list("abcdefg")}, "objects_to_annotate", "has 7 objects"),
    ("annotation", {"objects_to_annotate": []}, "objects_to_annotate", "is empty"),
    ("annotation", {"attachment": "ftp://media.example.com/a.jpg"}, "attachment", "ftp://"),
    ("annotation", {"attachment": "http://media.example.com/a b.jpg"}, "attachment", "white space"),
    ("annotation", {"attachment": None}, "attachment", "got None"),
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
]


@pytest.mark.parametrize(("name", "change", "field", "reason"), INVALID_REQUESTS)
def test_exceeded_limit_names_the_field_and_the_error(
    name: str, change: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        task_type(name).params.model_validate({**own_params(EXAMPLES[name]["request"]), **change})
    problem = problems(caught.value)[0]
    assert problem.field == field
    assert reason in problem.reason
    assert problem.fix


def test_limit_is_inclusive() -> None:
    request = own_params(EXAMPLES["annotation"]["request"])
    task_type("annotation").params.model_validate({**request, "objects_to_annotate": list("abcdef")})


@pytest.mark.parametrize("name", DOCUMENTED_TYPES)
@pytest.mark.parametrize("seed", range(20))
def test_fake_response_is_valid_and_deterministic(name: str, seed: int) -> None:
    tested = task_type(name)
    params = tested.params.model_validate(own_params(EXAMPLES[name]["request"])).model_dump(exclude_none=True)
    media = [Media("image", width=123, height=77, duration=Duration(7.5))]
    response = tested.fake_response(params, media, random.Random(seed))
    tested.response.model_validate(response)
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
