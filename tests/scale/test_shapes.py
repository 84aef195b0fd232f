"""The shapes of current types: what is read of an answer, and what the sandbox draws."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from labelflow.media import Media
from labelflow.scale.task_types import task_type
from labelflow.tables.conforming import to_column

LABELS = ["car", {"choice": "heavy", "subchoices": ["bus", {"choice": "lorry", "display": "truck"}]}]
KINDS = ("box", "polygon", "line", "point", "ellipse", "cuboid")
ATTRIBUTES = {
    "hidden": {"choices": ["none", "most"]},
    "colors": {"type": "category", "choices": ["red", "blue"], "allow_multiple": True},
    "axles": {"type": "number"},
    "heading": {"type": "angle"},
    "plate": {"type": "text"},
    "offset": {"type": "offset_x"},
}
PARAMS: dict[str, Any] = {
    "attachment": "https://media.example.com/a.jpg",
    "geometries": {kind: {"objects_to_annotate": LABELS} for kind in KINDS},
    "annotation_attributes": ATTRIBUTES,
}
TYPE = task_type("imageannotation")


def read(response: Any, params: dict[str, Any] = PARAMS) -> dict[str, Any]:
    """The columns of a response."""
    model = TYPE.response.model_validate(response, context=TYPE.context(params)).model_dump()
    columns = TYPE.columns(params)
    return {column.name: to_column([model[column.name]], column.type).to_pylist()[0] for column in columns}


def read_shape(shape: Any, params: dict[str, Any] = PARAMS) -> dict[str, Any]:
    """What the columns have of a single shape, without what is null."""
    [row] = read({"annotations": [shape]}, params)["annotations"]
    return {key: value for key, value in row.items() if value is not None}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (19, 300), (640, 480)])
def test_drawn_shapes_are_inside_the_image_and_have_labels_of_leaves(kind: str, width: int, height: int) -> None:
    params = {**PARAMS, "geometries": {kind: {"objects_to_annotate": LABELS, "can_rotate": kind == "box"}}}
    for seed in range(50):
        response = TYPE.fake_response(params, [Media("image", width=width, height=height)], random.Random(seed))
        assert response["annotations"]
        for shape in response["annotations"]:
            assert shape["type"] == kind
            assert shape["label"] in ("car", "bus", "lorry")
            for point in [*shape.get("vertices", []), *([shape] if kind == "point" else [])]:
                assert 0 <= point["x"] <= width - 1
                assert 0 <= point["y"] <= height - 1
            if kind == "box":
                assert 0 <= shape["left"] <= shape["left"] + shape["width"] <= width
                assert 0 <= shape["rotation"] <= math.pi
            attributes = shape["attributes"]
            assert attributes["hidden"] in ("none", "most")
            assert set(attributes["colors"]) <= {"red", "blue"}
            assert 0 <= attributes["heading"] < 360


@pytest.mark.parametrize(("least", "most"), [(1, 1), (3, 3), (12, None), (None, 2), (5, 60)])
@pytest.mark.parametrize("kind", ["polygon", "line"])
def test_drawn_shapes_have_the_vertices_that_are_asked_for(kind: str, least: int | None, most: int | None) -> None:
    geometry = {"objects_to_annotate": LABELS, "min_vertices": least, "max_vertices": most}
    for seed in range(20):
        response = TYPE.fake_response({"geometries": {kind: geometry}}, [], random.Random(seed))
        for shape in response["annotations"]:
            assert (least or 1) <= len(shape["vertices"]) <= (most or 60)


def test_small_boxes_are_not_drawn() -> None:
    params = {"geometries": {"box": {"objects_to_annotate": ["car"], "min_width": 31.5, "min_height": 40}}}
    for seed in range(20):
        for shape in TYPE.fake_response(params, [], random.Random(seed))["annotations"]:
            assert shape["width"] >= 32
            assert shape["height"] >= 40


def test_groups_of_a_label_are_its_parents() -> None:
    assert read_shape({"type": "point", "label": "lorry", "x": 1, "y": 2})["parents"] == ["heavy"]
    assert read_shape({"type": "point", "label": "car", "x": 1, "y": 2})["parents"] == []
    assert "parents" not in read_shape({"type": "point", "label": "other", "x": 1, "y": 2})


def test_attributes_have_the_types_that_are_asked_for() -> None:
    attributes = {"hidden": "none", "colors": ["red"], "axles": 2, "heading": 12.5, "plate": "B 204", "offset": 3}
    assert read_shape({"attributes": attributes})["attributes"] == {**attributes, "offset": "3"}


def test_attributes_of_other_types_are_converted() -> None:
    attributes = {"hidden": ["most"], "colors": "red", "axles": "2", "heading": "north", "plate": 204, "new": True}
    expected = {"hidden": "most", "colors": ["red"], "axles": 2.0, "heading": None, "plate": "204", "offset": None}
    assert read_shape({"attributes": attributes})["attributes"] == expected


@pytest.mark.parametrize("given", [None, {}, "{attributes}"])
def test_attributes_without_known_names_are_a_map(given: Any) -> None:
    params = {**PARAMS, "annotation_attributes": given}
    row = read_shape({"attributes": {"axles": 2, "tags": ["a", "b"]}}, params)
    assert row["attributes"] == [("axles", "2"), ("tags", '["a","b"]')]


BOX = {"uuid": "u", "type": "box", "label": "car", "left": 1, "top": 2, "width": 3, "height": 4}


@pytest.mark.parametrize(
    "response",
    [
        {"annotations": [BOX]},
        json.dumps({"annotations": [BOX]}),
        {"annotations": json.dumps([BOX])},
        {"annotations": {"u": {key: value for key, value in BOX.items() if key != "uuid"}}},
        {"annotations": [{**BOX, "left": "1"}], "links": None, "global_attributes": None},
    ],
    ids=["list", "JSON", "list as JSON", "object by id", "number as text"],
)
def test_response_is_read_in_every_form(response: Any) -> None:
    [row] = read(response)["annotations"]
    assert {key: value for key, value in row.items() if value is not None} == {**BOX, "parents": []}


def test_vertices_may_be_pairs() -> None:
    row = read_shape({"type": "line", "vertices": [[1, 2], {"x": 3, "y": 4.5}]})
    assert row["vertices"] == [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.5}]


def test_links_and_global_attributes_are_kept() -> None:
    columns = read({"annotations": [], "links": [{"from": "a", "to": "b"}], "global_attributes": {"rain": True}})
    assert columns["links"] == ['{"from":"a","to":"b"}']
    assert columns["global_attributes"] == [("rain", "true")]
