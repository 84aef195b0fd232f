"""Shapes in the answers of current types: one model and one column for all geometries. Source: current API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, model_validator

from labelflow.scale.task_types.shared.drawing.attributes import attributes_type

VERTEX = pa.struct([("x", pa.float64()), ("y", pa.float64())])
MEASURES = ("left", "top", "width", "height", "rotation", "x", "y")


class Vertex(BaseModel):
    """A vertex in pixels from the image's top left; a pair of numbers is accepted, too."""

    x: float | None = None
    y: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_pair(cls, value: Any) -> Any:
        return dict(zip("xy", value, strict=False)) if isinstance(value, list) and len(value) in (2, 3) else value


class Shape(BaseModel):
    """A shape of any geometry: what it does not have is None. Pixels from the image's top left.

    parents: the groups of its label in the job, from the outside in. rotation: radians, clockwise. A rotated box has
    `vertices`, and the `left` and `top` of the box before its rotation.
    """

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    uuid: str | None = None
    type: str | None = None
    label: str | None = None
    parents: list[str] | None = None
    left: float | None = None
    top: float | None = None
    width: float | None = None
    height: float | None = None
    rotation: float | None = None
    x: float | None = None
    y: float | None = None
    vertices: list[Vertex] | None = None
    attributes: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _add_parents(self, info: ValidationInfo) -> Self:
        if info.context and self.parents is None and self.label is not None:
            self.parents = info.context.get(self.label)
        return self


def _as_list(value: Any) -> Any:
    """Return shapes that are an object by id as a list."""
    if isinstance(value, Mapping) and value and all(isinstance(shape, Mapping) for shape in value.values()):
        return [{"uuid": key, **shape} for key, shape in value.items()]
    return value


Shapes = Annotated[list[Shape], BeforeValidator(_as_list)]


def shape_type(attributes: object) -> pa.DataType:
    """Return the Arrow type of a Shape. attributes: the job's `annotation_attributes`."""
    texts = [(name, pa.string()) for name in ("uuid", "type", "label")]
    return pa.struct(
        [
            *texts,
            ("parents", pa.list_(pa.string())),
            *[(name, pa.float64()) for name in MEASURES],
            ("vertices", pa.list_(VERTEX)),
            ("attributes", attributes_type(attributes)),
        ]
    )
