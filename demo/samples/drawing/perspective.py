"""Perspective of a camera above a street: points in metres (x right, y up, z ahead) to pixels."""

from __future__ import annotations

from dataclasses import dataclass

from demo.samples.drawing.canvas import Canvas, Point
from demo.samples.drawing.light import Colour
from demo.samples.drawing.shape_pen import ShapePen

NEAR_PLANE = 3.5


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera `height` metres above the road, `x` metres right of its center; `horizon` in pixels."""

    canvas: Canvas
    x: float
    height: float
    horizon: float
    focal_length: float

    def project(self, x: float, y: float, z: float) -> Point:
        """The pixel of a point in space; points nearer than 3.5 m are moved to 3.5 m."""
        scale = self.scale(z)
        return self.canvas.width / 2 + (x - self.x) * scale, self.horizon + (self.height - y) * scale

    def scale(self, z: float) -> float:
        """Pixels per metre at a distance of `z` metres."""
        return self.focal_length / max(z, NEAR_PLANE)

    def pen(self, x: float, z: float) -> ShapePen:
        """A pen for an upright object on the ground that faces the camera."""
        return ShapePen(self.canvas, *self.project(x, 0.0, z), self.scale(z))

    def ground(self, left: float, right: float, near: float, far: float, colour: Colour) -> None:
        """Fill a rectangle on the ground."""
        corners = [
            self.project(left, 0, near),
            self.project(right, 0, near),
            self.project(right, 0, far),
            self.project(left, 0, far),
        ]
        self.canvas.polygon(corners, colour)

    def wall(
        self, x: float, near: float, far: float, low: float, high: float, colour: Colour, glows: bool = False
    ) -> None:
        """Fill an upright rectangle parallel to the road at `x`."""
        corners = [
            self.project(x, low, near),
            self.project(x, low, far),
            self.project(x, high, far),
            self.project(x, high, near),
        ]
        self.canvas.polygon(corners, colour, glows=glows)
