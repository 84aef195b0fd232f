"""A pen that draws an object in metres: x along the object, y up from the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo.samples.drawing.canvas import Canvas, Point, rounded
from demo.samples.drawing.light import SHADOW, Colour


@dataclass(frozen=True, slots=True)
class ShapePen:
    """Draws relative to pixel (`x`, `y`); a metre is `scale` pixels; `mirrored` swaps left and right."""

    canvas: Canvas
    x: float
    y: float
    scale: float
    mirrored: bool = False

    def to_pixels(self, point: Point) -> Point:
        """The pixel of a point in metres."""
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
        """Draw a soft glow if lamps are on, otherwise nothing."""
        if self.canvas.light.lamps_on:
            self.canvas.halo(self.to_pixels((x, y)), radius * self.scale, colour)

    def ground_shadow(self, left: float, right: float, depth: float = 0.16) -> None:
        """Draw the shadow on the road below an object."""
        x, y = self.to_pixels(((left + right) / 2, 0.0))
        self.canvas.ellipse((x, y), (right - left) / 2 * self.scale, depth * self.scale, SHADOW, 110)
