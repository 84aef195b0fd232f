"""Random shapes inside an image, for the sandbox."""

from __future__ import annotations

import math
import random

from labelflow.media import Media

FALLBACK_SIZE = (640, 480)  # pixels of an image that the sandbox could not measure

Point = dict[str, int]


def image_size(media: list[Media]) -> tuple[int, int]:
    """Return the width and height of the first image in pixels, FALLBACK_SIZE if they are unknown."""
    if media and media[0].width and media[0].height:
        return media[0].width, media[0].height
    return FALLBACK_SIZE


def random_box(width: int, height: int, min_width: int, min_height: int, rng: random.Random) -> dict[str, int]:
    """Return a box inside the image, not smaller than the minimum sizes unless the image is. All in pixels."""
    box_width = _random_between(rng, min(max(min_width, width // 10, 1), width), max(min_width, width // 3))
    box_height = _random_between(rng, min(max(min_height, height // 10, 1), height), max(min_height, height // 3))
    box_width, box_height = min(box_width, width), min(box_height, height)
    return {
        "left": rng.randint(0, width - box_width),
        "top": rng.randint(0, height - box_height),
        "width": box_width,
        "height": box_height,
    }


def random_line(width: int, height: int, rng: random.Random, count: int | None = None) -> list[Point]:
    """Return the points of a line that goes upwards in the image. count: 2 to 6 by default."""
    count = rng.randint(2, 6) if count is None else count
    xs = [rng.randint(0, width - 1) for _ in range(count)]
    ys = sorted((rng.randint(0, height - 1) for _ in range(count)), reverse=True)
    return [{"x": x, "y": y} for x, y in zip(xs, ys, strict=True)]


def random_polygon(width: int, height: int, rng: random.Random, count: int | None = None) -> list[Point]:
    """Return the vertices of a polygon in angular order around a point, so that no edges cross.

    count: of the vertices, 4 to 9 by default.
    """
    frame = random_box(width, height, 0, 0, rng)
    count = rng.randint(4, 9) if count is None else count
    angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(count))
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
