"""A pen that draws a thing in its own measure: metres, x along the thing, y up from the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo.samples.drawing.canvas import Canvas, Point, rounded
from demo.samples.drawing.light import SHADOW, Colour


@dataclass(frozen=True, slots=True)
class ShapePen:
    """Stands at (`x`, `y`) pixels; a metre is `scale` pixels; `mirrored` turns left into right."""

    canvas: Canvas
    x: float
    y: float
    scale: float
    mirrored: bool = False

    def to_pixels(self, point: Point) -> Point:
        """Where a point in metres lies on the canvas."""
        along = -point[0] if self.mirrored else point[0]
        return self.x + along * self.scale, self.y - point[1] * self.scale

    def shape(
        self,
        points: Sequence[Point],
        colour: Colour,
        corner: float = 0.0,
        alpha: int = 255,
        glows: bool = False,
    ) -> None:
        """Fill a polygon whose corners are rounded by `corner` metres."""
        self.canvas.polygon([self.to_pixels(p) for p in rounded(points, corner)], colour, alpha, glows)

    def box(
        self,
        left: float,
        low: float,
        right: float,
        high: float,
        colour: Colour,
        corner: float = 0.0,
        glows: bool = False,
    ) -> None:
        """Fill an upright rectangle."""
        self.shape([(left, low), (right, low), (right, high), (left, high)], colour, corner, glows=glows)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.canvas.ellipse(self.to_pixels((x, y)), radius * self.scale, radius * self.scale, colour)

    def halo(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A soft shine, where lamps are on; nothing by day."""
        if self.canvas.light.lamps_on:
            self.canvas.halo(self.to_pixels((x, y)), radius * self.scale, colour)

    def ground_shadow(self, left: float, right: float, depth: float = 0.16) -> None:
        """The shadow on the road under a thing."""
        x, y = self.to_pixels(((left + right) / 2, 0.0))
        self.canvas.ellipse((x, y), (right - left) / 2 * self.scale, depth * self.scale, SHADOW, 110)
