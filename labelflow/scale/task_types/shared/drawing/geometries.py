"""`geometries`: which shapes annotators draw, and around what. Source: current API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.checks import Text
from labelflow.scale.task_types.shared.drawing.labels import LabelTree, parents
from labelflow.scale.task_types.shared.params import NestedParams

Pixels = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Geometry(NestedParams):
    """A kind of shape. objects_to_annotate: the labels of the objects."""

    objects_to_annotate: LabelTree


class BoxGeometry(Geometry):
    """Boxes. min_width, min_height: pixels. A rotated box has no integer pixels."""

    min_height: Pixels | None = None
    min_width: Pixels | None = None
    can_rotate: bool | None = None
    integer_pixels: bool | None = None

    @model_validator(mode="after")
    def _check_rotation(self) -> Self:
        if self.can_rotate and self.integer_pixels:
            raise validation_error("has `can_rotate` and `integer_pixels`", "remove one of them")
        return self


class VertexGeometry(Geometry):
    """Polygons or lines."""

    min_vertices: Count | None = None
    max_vertices: Count | None = None

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if self.min_vertices and self.max_vertices and self.min_vertices > self.max_vertices:
            reason = f"has min_vertices {self.min_vertices} and max_vertices {self.max_vertices}"
            raise validation_error(reason, "use a `min_vertices` that is not larger than `max_vertices`")
        return self


class Connection(NestedParams):
    """Two kinds of points that a line connects."""

    pair: Annotated[list[Text], Field(min_length=2, max_length=2)]
    connection_attribute: Any = None


class PointGeometry(Geometry):
    """Points, and how they are connected."""

    connections: list[Connection] | None = None


class Geometries(NestedParams):
    """The shapes of a task by their kind; at least one."""

    box: BoxGeometry | None = None
    polygon: VertexGeometry | None = None
    line: VertexGeometry | None = None
    point: PointGeometry | None = None
    ellipse: Geometry | None = None
    cuboid: Geometry | None = None

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if all(geometry is None for _, geometry in self):
            raise validation_error("is empty", f"give one of {', '.join(type(self).model_fields)}")
        return self


def geometry_labels(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the labels of a task's geometries, with the groups of each; see `parents`."""
    geometries = params.get("geometries")
    described = geometries.values() if isinstance(geometries, Mapping) else []
    return parents(geometry.get("objects_to_annotate") for geometry in described if isinstance(geometry, Mapping))
