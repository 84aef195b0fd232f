"""A canvas in pixels of the final image. Drawn at a larger scale and resized, so edges are smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from demo.samples.drawing.light import Colour, Light, mix

Point = tuple[float, float]

OVERSAMPLING = 3
CURVE_STEPS = 5
HALO_RINGS = 16
HALO_ALPHA = 9  # of 255, per ring; rings add up towards the center
MAX_HALO_RADIUS = 80.0  # pixels


class Canvas:
    """An image of `width` × `height` pixels under one light. Colours are given as in plain daylight."""

    def __init__(self, width: int, height: int, light: Light) -> None:
        self.width = width
        self.height = height
        self.light = light
        self._image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING))
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def polygon(self, points: Sequence[Point], colour: Colour, alpha: int = 255, glows: bool = False) -> None:
        """Fill a polygon. With `glows` its colour does not depend on the light; `alpha` is 0–255."""
        self._draw.polygon([_oversampled(point) for point in points], fill=self._fill(colour, alpha, glows))

    def ellipse(
        self, centre: Point, rx: float, ry: float, colour: Colour, alpha: int = 255, glows: bool = False
    ) -> None:
        """Fill an ellipse with the radii `rx` and `ry`, in pixels."""
        x, y = centre
        corners = [_oversampled((x - rx, y - ry)), _oversampled((x + rx, y + ry))]
        self._draw.ellipse(corners, fill=self._fill(colour, alpha, glows))

    def sky(self, down_to: float) -> None:
        """Fill the area above `down_to` with the sky of the light."""
        rows = int(down_to * OVERSAMPLING)
        for row in range(rows):
            colour = mix(self.light.sky_top, self.light.sky_low, row / rows)
            self._draw.line([(0, row), (self._image.width, row)], fill=colour)

    def halo(self, centre: Point, radius: float, colour: Colour) -> None:
        """Draw a soft glow around a lamp or the sun, of `radius` pixels (at most 80)."""
        for step in range(HALO_RINGS, 0, -1):
            ring = min(radius, MAX_HALO_RADIUS) * step / HALO_RINGS
            self.ellipse(centre, ring, ring, colour, HALO_ALPHA, glows=True)

    def to_image(self) -> Image.Image:
        """The image at its final size."""
        return self._image.reduce(OVERSAMPLING)

    def _fill(self, colour: Colour, alpha: int, glows: bool) -> tuple[int, int, int, int]:
        red, green, blue = colour if glows else self.light.apply_to(colour)
        return red, green, blue, alpha


def rounded(points: Sequence[Point], radius: float) -> list[Point]:
    """The polygon with each corner replaced by a curve that starts `radius` before it."""
    if radius <= 0:
        return list(points)
    curves: list[Point] = []
    for index, corner in enumerate(points):
        start = _point_towards(corner, points[index - 1], radius)
        end = _point_towards(corner, points[(index + 1) % len(points)], radius)
        curves += [_bezier_point(start, corner, end, step / CURVE_STEPS) for step in range(CURVE_STEPS + 1)]
    return curves


def _point_towards(corner: Point, other: Point, distance: float) -> Point:
    length = math.dist(corner, other)
    share = min(distance / length, 0.5) if length else 0.0
    return corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share


def _bezier_point(start: Point, corner: Point, end: Point, t: float) -> Point:
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
    return a * start[0] + b * corner[0] + c * end[0], a * start[1] + b * corner[1] + c * end[1]


def _oversampled(point: Point) -> Point:
    return point[0] * OVERSAMPLING, point[1] * OVERSAMPLING
