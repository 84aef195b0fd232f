"""Lines and polygons of the 2017 API: their response, its columns, and fake ones for the sandbox."""

from __future__ import annotations

import random
from collections.abc import Callable

import pyarrow as pa
from pydantic import BaseModel

from labelflow.media import Media
from labelflow.scale.task_types.shared.drawing.random_shapes import Point, image_size
from labelflow.scale.task_types.shared.responses import TaskResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData


class Vertex(BaseModel):
    """A vertex in pixels from the image's top left."""

    x: float
    y: float


class Shape(BaseModel):
    """The vertices in order; `label` only with `with_labels`."""

    vertices: list[Vertex]
    label: str | None = None


class VerticesResponse(TaskResponse):
    """The lines or polygons; an empty list if the image shows no object."""

    annotations: list[Shape]


def vertices_columns(params: Params) -> Columns:
    """Return the Arrow fields of a VerticesResponse."""
    vertex = pa.struct([("x", pa.float64()), ("y", pa.float64())])
    shape = pa.struct([("vertices", pa.list_(vertex)), ("label", pa.string())])
    return [pa.field("annotations", pa.list_(shape))]


def fake_shapes(
    params: Params,
    media: list[Media],
    rng: random.Random,
    draw_shape: Callable[[int, int, random.Random], list[Point]],
) -> ResponseData:
    """Return a response with one to four shapes inside the image, labeled with `with_labels`.

    draw_shape: called with the image's width and height in pixels; returns the vertices.
    """
    width, height = image_size(media)
    shapes: list[ResponseData] = []
    for _ in range(rng.randint(1, 4)):
        shape: ResponseData = {"vertices": draw_shape(width, height, rng)}
        if params["with_labels"]:
            shape["label"] = rng.choice(params.get("objects_to_annotate") or ["object"])
        shapes.append(shape)
    return {"annotations": shapes}
