"""Random shapes of current types, inside the image, for the sandbox."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from labelflow.scale.task_types.shared.drawing.attributes import fake_attributes
from labelflow.scale.task_types.shared.drawing.labels import leaves
from labelflow.scale.task_types.shared.drawing.random_shapes import random_box, random_line, random_polygon

MAX_SHAPES = 3  # of a geometry
Size = tuple[int, int]  # pixels
Described = Mapping[str, Any]


def fake_shapes(params: Described, size: Size, rng: random.Random) -> list[dict[str, Any]]:
    """Return one to three shapes of each geometry of a task, with its labels and attributes."""
    return [
        fake_shape(kind, geometry, params.get("annotation_attributes"), size, rng)
        for kind, geometry in (params.get("geometries") or {"box": {}}).items()
        if isinstance(geometry, Mapping)
        for _ in range(rng.randint(1, MAX_SHAPES))
    ]


def fake_shape(kind: str, geometry: Described, attributes: object, size: Size, rng: random.Random) -> dict[str, Any]:
    """Return a shape. kind: of its geometry; one that is not known gives a box. size: of the image."""
    return {
        "uuid": fake_uuid(rng),
        "type": kind,
        "label": rng.choice(leaves(geometry.get("objects_to_annotate")) or ["object"]),
        **_DRAW.get(kind, _box)(geometry, size, rng),
        "attributes": fake_attributes(attributes, rng),
    }


def fake_uuid(rng: random.Random) -> str:
    """Return a random UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _box(geometry: Described, size: Size, rng: random.Random) -> dict[str, Any]:
    sides = [math.ceil(geometry.get(name) or 0) for name in ("min_width", "min_height")]
    box = random_box(*size, sides[0], sides[1], rng)
    return {**box, **_rotated(box, size, rng)} if geometry.get("can_rotate") else {**box}


def _rotated(box: dict[str, int], size: Size, rng: random.Random) -> dict[str, Any]:
    """Return the rotation of a box and its vertices, which are kept inside the image."""
    angle = round(rng.uniform(0, math.pi), 3)
    center_x, center_y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
    corners = [(x, y) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]
    vertices = []
    for x, y in corners:
        across, down = x * box["width"], y * box["height"]
        vertices.append(
            {
                "x": _within(center_x + across * math.cos(angle) - down * math.sin(angle), size[0]),
                "y": _within(center_y + across * math.sin(angle) + down * math.cos(angle), size[1]),
            }
        )
    return {"rotation": angle, "vertices": vertices}


def _within(value: float, side: int) -> float:
    return round(min(max(value, 0.0), side - 1.0), 2)


def _polygon(geometry: Described, size: Size, rng: random.Random) -> dict[str, Any]:
    low, high = _vertex_counts(geometry, 4, 9)
    return {"vertices": random_polygon(*size, rng, rng.randint(low, high))}


def _line(geometry: Described, size: Size, rng: random.Random) -> dict[str, Any]:
    low, high = _vertex_counts(geometry, 2, 6)
    return {"vertices": random_line(*size, rng, rng.randint(low, high))}


def _vertex_counts(geometry: Described, low: int, high: int) -> tuple[int, int]:
    """Return the smallest and the largest number of vertices, `low` and `high` if the geometry allows them."""
    least, most = geometry.get("min_vertices") or 1, geometry.get("max_vertices") or high
    return max(least, min(low, most)), max(least, min(high, most))


def _point(geometry: Described, size: Size, rng: random.Random) -> dict[str, Any]:
    return {"x": rng.randint(0, size[0] - 1), "y": rng.randint(0, size[1] - 1)}


def _ellipse(geometry: Described, size: Size, rng: random.Random) -> dict[str, Any]:
    """Return the four extremal points: top, right, bottom, left."""
    box = random_box(size[0], size[1], 0, 0, rng)
    right, bottom = box["left"] + box["width"] - 1, box["top"] + box["height"] - 1
    middle_x, middle_y = (box["left"] + right) / 2, (box["top"] + bottom) / 2
    points = ((middle_x, box["top"]), (right, middle_y), (middle_x, bottom), (box["left"], middle_y))
    return {"vertices": [{"x": x, "y": y} for x, y in points]}


def _cuboid(geometry: Described, size: Size, rng: random.Random) -> dict[str, Any]:
    """Return the corners of the front, then those of the back, which is half as large."""
    box = random_box(size[0], size[1], 0, 0, rng)
    vertices = [
        {"x": box["left"] + x * (box["width"] - 1) / scale, "y": box["top"] + y * (box["height"] - 1) / scale}
        for scale in (1, 2)
        for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    return {"vertices": vertices}


_DRAW: dict[str, Callable[[Described, Size, random.Random], dict[str, Any]]] = {
    "box": _box,
    "polygon": _polygon,
    "line": _line,
    "point": _point,
    "ellipse": _ellipse,
    "cuboid": _cuboid,
}
