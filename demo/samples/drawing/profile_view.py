"""Side views of cars and trucks, front to the right. In metres; x is 0 at the center."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demo.samples.drawing.canvas import Point
from demo.samples.drawing.light import (
    CHASSIS,
    GLASS,
    HEADLIGHT,
    TAILLIGHT,
    TYRE,
    Colour,
    darker,
    lighter,
    mix,
)
from demo.samples.drawing.shape_pen import ShapePen

RIM: Colour = (186, 190, 196)


@dataclass(frozen=True, slots=True)
class Model:
    """A vehicle model: whether it is a truck, its length in metres, and its drawing function."""

    truck: bool
    length: float
    draw: Callable[[ShapePen, Colour], None]


def _wheel(pen: ShapePen, x: float, radius: float) -> None:
    pen.disc(x, radius, radius, TYRE)
    pen.disc(x, radius, radius * 0.58, RIM)
    pen.disc(x, radius, radius * 0.2, CHASSIS)


def _lights(pen: ShapePen, front: Point, back: Point) -> None:
    x, y = front
    pen.box(x - 0.2, y - 0.1, x, y + 0.1, HEADLIGHT, 0.06, glows=True)
    pen.halo(x + 0.1, y, 0.9, HEADLIGHT)
    if pen.canvas.light.lamps_on:
        for reach in (1.6, 2.4, 3.2):
            beam = [(x, y + 0.08), (x + reach, y + 0.1), (x + reach, 0.0), (x, y - 0.1)]
            pen.shape(beam, HEADLIGHT, 0.2, alpha=20, glows=True)
    x, y = back
    pen.box(x, y - 0.12, x + 0.14, y + 0.12, TAILLIGHT, 0.04, glows=True)
    pen.halo(x, y, 0.5, TAILLIGHT)


def _car(pen: ShapePen, colour: Colour, body: list[Point], cabin: list[Point], pillar: float) -> None:
    """Draw a car: a body and a cabin above it; `pillar` divides the cabin's glass."""
    left, right = body[0][0], body[-1][0]
    pen.ground_shadow(left - 0.1, right + 0.1)
    pen.shape(cabin, colour, 0.22)
    middle_x = sum(x for x, _ in cabin) / len(cabin)
    glass = [(middle_x + (x - middle_x) * 0.87, min(0.86 + (y - 0.8) * 0.86, 1.36)) for x, y in cabin]
    pen.shape(glass, mix(GLASS, (60, 84, 110), 0.35), 0.14)
    pen.shape(
        [(pillar - 0.9, 0.9), (pillar - 0.65, 0.9), (pillar - 0.3, 1.3), (pillar - 0.5, 1.3)],
        GLASS,
        alpha=150,
    )
    pen.box(pillar - 0.05, 0.8, pillar + 0.05, 1.4, colour)
    pen.shape(body, colour, 0.24)
    pen.box(left + 0.1, 0.26, right - 0.1, 0.4, darker(colour, 0.4), 0.06)
    pen.box(left + 0.25, 0.79, right - 0.45, 0.83, lighter(colour, 0.35))
    pen.box(pillar - 0.42, 0.66, pillar - 0.18, 0.71, darker(colour, 0.5), 0.02)
    for x in (left + 0.82, right - 0.82):
        pen.disc(x, 0.36, 0.43, darker(colour, 0.7))
        _wheel(pen, x, 0.34)
    _lights(pen, (right - 0.04, 0.68), (left + 0.02, 0.72))


def _hatchback(pen: ShapePen, colour: Colour) -> None:
    body = [(-1.9, 0.26), (-1.95, 0.92), (-1.0, 0.98), (0.9, 0.92), (1.8, 0.78), (1.95, 0.26)]
    cabin = [(-1.75, 0.8), (-1.45, 1.5), (0.25, 1.5), (1.05, 0.8)]
    _car(pen, colour, body, cabin, -0.25)


def _saloon(pen: ShapePen, colour: Colour) -> None:
    body = [(-2.3, 0.26), (-2.32, 0.9), (-1.4, 0.96), (1.1, 0.92), (2.2, 0.78), (2.35, 0.26)]
    cabin = [(-1.75, 0.8), (-1.0, 1.42), (0.35, 1.42), (1.2, 0.8)]
    _car(pen, colour, body, cabin, -0.2)


def _estate(pen: ShapePen, colour: Colour) -> None:
    body = [(-2.3, 0.3), (-2.34, 1.0), (-1.4, 1.02), (1.0, 0.98), (2.15, 0.88), (2.3, 0.3)]
    cabin = [(-2.25, 0.85), (-2.05, 1.6), (0.2, 1.6), (1.05, 0.85)]
    _car(pen, colour, body, cabin, -0.3)
    pen.box(-1.8, 1.6, 0.0, 1.66, CHASSIS, 0.03)


def _cab(pen: ShapePen, colour: Colour, back: float) -> None:
    """Draw a truck's cab, 1.9 m long, from `back` to the front."""
    body = [
        (back, 0.5),
        (back, 2.35),
        (back + 1.25, 2.35),
        (back + 1.72, 1.4),
        (back + 1.9, 1.2),
        (back + 1.9, 0.5),
    ]
    pen.shape(body, colour, 0.14)
    window = [(back + 0.55, 1.4), (back + 0.55, 2.12), (back + 1.2, 2.12), (back + 1.56, 1.4)]
    pen.shape(window, mix(GLASS, (60, 84, 110), 0.3), 0.08)
    pen.shape([(back + 0.62, 1.46), (back + 0.62, 1.75), (back + 0.95, 2.06), (back + 1.1, 2.06)], GLASS, alpha=150)
    pen.box(back + 0.45, 0.7, back + 0.5, 2.15, darker(colour))
    pen.box(back + 0.62, 1.18, back + 0.86, 1.25, darker(colour, 0.5))
    pen.box(back + 1.5, 0.42, back + 1.98, 0.72, CHASSIS, 0.06)
    pen.box(back + 1.62, 1.5, back + 1.74, 1.95, CHASSIS, 0.04)


def _truck(pen: ShapePen, colour: Colour, half: float, axles: tuple[float, ...]) -> None:
    """Draw the parts that all trucks have: shadow, frame, cab, large wheels and lamps."""
    pen.ground_shadow(-half - 0.1, half + 0.1, 0.2)
    pen.box(-half, 0.55, half - 0.2, 0.85, CHASSIS)
    _cab(pen, colour, half - 1.9)
    for x in axles:
        pen.disc(x, 0.5, 0.58, darker(CHASSIS, 0.6))
        _wheel(pen, x, 0.48)
    _lights(pen, (half, 0.9), (-half, 0.75))


def _box_truck(pen: ShapePen, colour: Colour) -> None:
    _truck(pen, colour, 3.6, (-2.2, 2.6))
    pen.box(-3.6, 0.85, 1.55, 3.3, (240, 238, 230), 0.06)
    pen.box(-3.6, 1.55, 1.55, 2.0, colour)
    pen.box(-3.6, 3.18, 1.55, 3.3, (206, 206, 204))
    pen.box(-3.6, 0.85, 1.55, 0.95, (150, 152, 156))


def _tipper(pen: ShapePen, colour: Colour) -> None:
    _truck(pen, colour, 3.5, (-2.6, -1.5, 2.5))
    heap = [(-3.0, 1.8), (-2.2, 2.35), (-1.4, 2.25), (-0.6, 2.6), (0.4, 2.2), (1.1, 1.8)]
    pen.shape(heap, (176, 142, 98), 0.3)
    pen.shape([(-3.3, 0.9), (-3.6, 2.0), (1.4, 2.0), (1.4, 0.9)], darker(colour, 0.2), 0.05)
    for x in (-2.7, -1.7, -0.7, 0.3):
        pen.box(x, 0.95, x + 0.1, 1.95, darker(colour, 0.42))
    pen.box(-3.62, 1.9, 1.45, 2.06, darker(colour, 0.42), 0.04)


def _tanker(pen: ShapePen, colour: Colour) -> None:
    _truck(pen, colour, 4.0, (-3.0, -1.9, 3.0))
    pen.box(-4.0, 0.95, 1.9, 2.95, (202, 208, 214), 0.7)
    pen.box(-3.7, 2.45, 1.6, 2.65, (238, 241, 244), 0.1)
    pen.box(-3.9, 1.55, 1.8, 1.8, colour)
    for x in (-2.4, -0.6):
        pen.box(x, 2.9, x + 0.7, 3.08, CHASSIS, 0.06)


def _articulated(pen: ShapePen, colour: Colour) -> None:
    _truck(pen, colour, 5.6, (-4.6, -3.5, 2.7, 4.7))
    pen.box(-5.6, 0.9, 3.4, 3.5, lighter(colour, 0.55), 0.06)
    pen.box(-5.6, 0.9, 3.4, 1.15, darker(colour, 0.1))
    for x in (-4.1, -2.6, -1.1, 0.4, 1.9):
        pen.box(x, 1.15, x + 0.05, 3.5, lighter(colour, 0.3))
    pen.box(-5.6, 3.38, 3.4, 3.5, darker(colour, 0.1))


CARS = (Model(False, 3.9, _hatchback), Model(False, 4.7, _saloon), Model(False, 4.6, _estate))
TRUCKS = (
    Model(True, 7.2, _box_truck),
    Model(True, 7.0, _tipper),
    Model(True, 8.0, _tanker),
    Model(True, 11.2, _articulated),
)
