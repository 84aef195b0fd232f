"""What the types that draw on images share: their answers, and how the sandbox places shapes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pyarrow as pa
from pydantic import BaseModel

from labelflow.media import Media
from labelflow.scale.task_types.base import Columns, Params, ResponseData, TaskResponse

FALLBACK_SIZE = (640, 480)  # pixels, where the sandbox could not measure the picture

Point = dict[str, int]


class Vertex(BaseModel):
    """A corner, in pixels from the image's top left."""

    x: float
    y: float


class Shape(BaseModel):
    """Corners in order; `label` only where the task asked for labels."""

    vertices: list[Vertex]
    label: str | None = None


class VerticesResponse(TaskResponse):
    """The lines or outlines that people drew, none where there was nothing to draw."""

    annotations: list[Shape]


def vertices_columns(params: Params) -> Columns:
    """Arrow fields of a VerticesResponse."""
    vertex = pa.struct([("x", pa.float64()), ("y", pa.float64())])
    shape = pa.struct([("vertices", pa.list_(vertex)), ("label", pa.string())])
    return [pa.field("annotations", pa.list_(shape))]


def fake_shapes(
    params: Params,
    media: list[Media],
    rng: random.Random,
    draw_shape: Callable[[int, int, random.Random], list[Point]],
) -> ResponseData:
    """One to four shapes inside the picture, labeled where the task asked for it."""
    width, height = image_size(media)
    drawn: list[ResponseData] = []
    for _ in range(rng.randint(1, 4)):
        shape: ResponseData = {"vertices": draw_shape(width, height, rng)}
        if params["with_labels"]:
            shape["label"] = rng.choice(params["objects_to_annotate"])
        drawn.append(shape)
    return {"annotations": drawn}


def image_size(media: list[Media]) -> tuple[int, int]:
    """Width and height of the picture, in pixels."""
    if media and media[0].width and media[0].height:
        return media[0].width, media[0].height
    return FALLBACK_SIZE


def random_box(width: int, height: int, min_width: int, min_height: int, rng: random.Random) -> dict[str, int]:
    """A box inside the picture, at least as large as was asked for (or as the picture allows)."""
    box_width = _random_between(rng, min(max(min_width, width // 10, 1), width), max(min_width, width // 3))
    box_height = _random_between(rng, min(max(min_height, height // 10, 1), height), max(min_height, height // 3))
    box_width, box_height = min(box_width, width), min(box_height, height)
    return {
        "left": rng.randint(0, width - box_width),
        "top": rng.randint(0, height - box_height),
        "width": box_width,
        "height": box_height,
    }


def random_line(width: int, height: int, rng: random.Random) -> list[Point]:
    """A path of a few points that wanders from the bottom of the picture to its top."""
    count = rng.randint(2, 6)
    xs = [rng.randint(0, width - 1) for _ in range(count)]
    ys = sorted((rng.randint(0, height - 1) for _ in range(count)), reverse=True)
    return [{"x": x, "y": y} for x, y in zip(xs, ys, strict=True)]


def random_polygon(width: int, height: int, rng: random.Random) -> list[Point]:
    """An outline around a point, its corners in order, so that no side crosses another."""
    frame = random_box(width, height, 0, 0, rng)
    corners = rng.randint(4, 9)
    angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(corners))
    center_x, center_y = frame["left"] + frame["width"] / 2, frame["top"] + frame["height"] / 2
    return [
        {
            "x": min(width - 1, round(center_x + math.cos(angle) * frame["width"] / 2)),
            "y": min(height - 1, round(center_y + math.sin(angle) * frame["height"] / 2)),
        }
        for angle in angles
    ]


def _random_between(rng: random.Random, low: int, high: int) -> int:
    return rng.randint(low, max(low, high))
