"""Rear and front views of cars and trucks, in perspective. In metres; x is 0 at the center."""

from __future__ import annotations

from dataclasses import dataclass

from demo.samples.drawing.canvas import Point
from demo.samples.drawing.light import (
    CHASSIS,
    GLASS,
    HEADLIGHT,
    SHADOW,
    TAILLIGHT,
    TYRE,
    Colour,
    darker,
    lighter,
    mix,
)
from demo.samples.drawing.perspective import Camera
from demo.samples.drawing.shape_pen import ShapePen

PANE: Colour = mix(GLASS, (60, 84, 110), 0.4)
PLATE: Colour = (244, 242, 226)
CARGO: Colour = (238, 236, 228)


@dataclass(frozen=True, slots=True)
class Place:
    """Position of a vehicle's near end on the road, in metres, and whether it drives towards the camera."""

    x: float
    z: float
    oncoming: bool


def car(camera: Camera, place: Place, colour: Colour) -> None:
    """Draw a car: a body 4.2 m long, a cabin, and the end that faces the camera."""
    cabin_from, cabin_to = (1.3, 3.6) if place.oncoming else (0.5, 2.8)
    pen = camera.pen(place.x, place.z)
    _shadow(camera, place, 1.0, 4.2)
    _block(camera, place, 0.88, (0.35, 0.92), (0.0, 4.2), colour)
    _cabin(camera, place, (cabin_from, cabin_to), colour)
    for x in (-0.68, 0.68):
        pen.box(x - 0.12, 0.0, x + 0.12, 0.5, TYRE, 0.05)
    body: list[Point] = [(-0.86, 0.28), (-0.9, 0.62), (-0.82, 0.95), (0.82, 0.95), (0.9, 0.62), (0.86, 0.28)]
    pen.shape(body, colour, 0.12)
    pen.box(-0.84, 0.26, 0.84, 0.42, darker(colour, 0.45), 0.06)
    if place.oncoming:
        pen.box(-0.45, 0.52, 0.45, 0.72, CHASSIS, 0.06)
        _lamps(pen, 0.66, 0.66, 0.18, HEADLIGHT)
    else:
        pen.box(-0.78, 0.88, 0.78, 0.93, lighter(colour, 0.3))
        _lamps(pen, 0.7, 0.72, 0.13, TAILLIGHT)
    pen.box(-0.26, 0.44, 0.26, 0.58, PLATE, 0.02)


def _cabin(camera: Camera, place: Place, span: tuple[float, float], colour: Colour) -> None:
    """Draw the cabin: glass on all sides, and a roof narrower than the base."""
    near, far = place.z + span[0], place.z + span[1]
    roof_near, roof_far = near + 0.4, far - 0.3
    side = -0.84 if place.x > camera.x else 0.84
    x, top = place.x, 1.45
    flank = [(side, 0.9, near), (side * 0.8, top, roof_near), (side * 0.8, top, roof_far), (side, 0.9, far)]
    camera.canvas.polygon([camera.project(x + dx, y, z) for dx, y, z in flank], darker(PANE, 0.3))
    roof = [(-0.7, roof_near), (0.7, roof_near), (0.7, roof_far), (-0.7, roof_far)]
    camera.canvas.polygon([camera.project(x + dx, top, z) for dx, z in roof], lighter(colour, 0.18))
    frame = [
        (-0.86, 0.9, near),
        (-0.7, top + 0.02, roof_near),
        (0.7, top + 0.02, roof_near),
        (0.86, 0.9, near),
    ]
    camera.canvas.polygon([camera.project(x + dx, y, z) for dx, y, z in frame], colour)
    pane = [
        (-0.74, 0.93, near),
        (-0.62, top - 0.06, roof_near),
        (0.62, top - 0.06, roof_near),
        (0.74, 0.93, near),
    ]
    camera.canvas.polygon([camera.project(x + dx, y, z) for dx, y, z in pane], PANE)
    shine = [(-0.5, 0.96, near), (-0.3, 1.36, roof_near), (-0.05, 1.36, roof_near), (-0.22, 0.96, near)]
    camera.canvas.polygon([camera.project(x + dx, y, z) for dx, y, z in shine], GLASS, 150)


def truck(camera: Camera, place: Place, colour: Colour) -> None:
    """Draw a truck: a box 7 m long, with doors if it drives away, with a cab if it drives towards the camera."""
    _shadow(camera, place, 1.35, 7.4)
    if place.oncoming:
        _block(camera, place, 1.25, (0.75, 3.3), (1.9, 7.4), CARGO)
        _wheels_along(camera, place, (2.4, 5.6))
        camera.pen(place.x, place.z + 1.9).box(-1.25, 0.75, 1.25, 3.3, CARGO)
        _block(camera, place, 1.12, (0.5, 2.4), (0.0, 1.7), colour)
        _cab_front(camera.pen(place.x, place.z), colour)
        return
    _block(camera, place, 1.12, (0.5, 2.4), (5.6, 7.4), colour)
    _block(camera, place, 1.25, (0.75, 3.3), (0.0, 5.4), CARGO)
    _wheels_along(camera, place, (1.2, 6.2))
    _doors(camera.pen(place.x, place.z), colour)


def _cab_front(pen: ShapePen, colour: Colour) -> None:
    for x in (-0.9, 0.9):
        pen.box(x - 0.18, 0.0, x + 0.18, 0.7, TYRE, 0.06)
    pen.box(-1.15, 0.4, 1.15, 2.4, colour, 0.14)
    pen.box(-1.0, 1.38, 1.0, 2.18, PANE, 0.1)
    pen.shape([(-0.7, 1.42), (-0.45, 2.12), (-0.1, 2.12), (-0.32, 1.42)], GLASS, alpha=150)
    pen.box(-0.7, 0.82, 0.7, 1.14, CHASSIS, 0.06)
    pen.box(-1.18, 0.4, 1.18, 0.68, darker(colour, 0.4), 0.06)
    pen.box(-0.26, 0.46, 0.26, 0.6, PLATE, 0.02)
    for x in (-1.34, 1.34):
        pen.box(x - 0.09, 1.5, x + 0.09, 2.05, CHASSIS, 0.05)
    _lamps(pen, 0.9, 0.82, 0.18, HEADLIGHT)


def _doors(pen: ShapePen, colour: Colour) -> None:
    for x in (-0.9, 0.9):
        pen.box(x - 0.26, 0.0, x + 0.26, 0.85, TYRE, 0.06)
    pen.box(-1.25, 0.7, 1.25, 3.3, CARGO, 0.05)
    pen.box(-1.25, 1.6, 1.25, 2.1, colour)
    pen.box(-0.03, 0.8, 0.03, 3.22, darker(CARGO, 0.4))
    for x in (-0.22, 0.22):
        pen.box(x - 0.035, 0.85, x + 0.035, 3.15, darker(CARGO, 0.3))
    pen.box(-1.25, 3.18, 1.25, 3.3, darker(CARGO, 0.2))
    pen.box(-1.25, 0.55, 1.25, 0.78, CHASSIS, 0.04)
    pen.box(-0.26, 0.58, 0.26, 0.72, PLATE, 0.02)
    _lamps(pen, 1.02, 0.67, 0.14, TAILLIGHT)


def _block(
    camera: Camera,
    place: Place,
    half: float,
    height: tuple[float, float],
    along: tuple[float, float],
    colour: Colour,
) -> None:
    """Draw the top and the visible side of a box parallel to the road."""
    near, far = place.z + along[0], place.z + along[1]
    low, high = height
    side = place.x - half if place.x > camera.x else place.x + half
    camera.wall(side, near, far, low, high, darker(colour, 0.26))
    top = [(-half, near), (half, near), (half, far), (-half, far)]
    camera.canvas.polygon([camera.project(place.x + dx, high, z) for dx, z in top], lighter(colour, 0.12))


def _wheels_along(camera: Camera, place: Place, positions: tuple[float, ...]) -> None:
    side = place.x - 1.2 if place.x > camera.x else place.x + 1.2
    for z in positions:
        camera.wall(side, place.z + z, place.z + z + 0.8, 0.0, 0.8, TYRE)


def _shadow(camera: Camera, place: Place, half: float, length: float) -> None:
    corners = [(-half, -0.3), (half, -0.3), (half, length), (-half, length)]
    camera.canvas.polygon([camera.project(place.x + dx, 0, place.z + dz) for dx, dz in corners], SHADOW, 110)


def _lamps(pen: ShapePen, x: float, y: float, radius: float, colour: Colour) -> None:
    for side in (-x, x):
        pen.box(side - radius, y - 0.1, side + radius, y + 0.1, colour, 0.06, glows=True)
        pen.halo(side, y, 0.6 if colour == HEADLIGHT else 0.4, colour)
