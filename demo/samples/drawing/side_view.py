"""A street seen from the opposite pavement: houses in the background, traffic in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from demo.samples.drawing import scenery
from demo.samples.drawing.canvas import Canvas
from demo.samples.drawing.light import ASPHALT, GRASS, KERB, MARKING, PAINTS, PAVEMENT, Colour
from demo.samples.drawing.profile_view import CARS, TRUCKS, Model
from demo.samples.drawing.shape_pen import ShapePen

GROUND = 232.0
HOUSE_SCALE = 19.0
ROAD = (252.0, 384.0)
LANES: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((306.0, 27.0), (370.0, 33.0)),
    3: ((286.0, 23.0), (326.0, 27.0), (372.0, 32.0)),
}


@dataclass(frozen=True, slots=True)
class _Vehicle:
    """A vehicle and its position; `left` and `right` in pixels."""

    model: Model
    pen: ShapePen
    left: float
    right: float

    def hides(self, other: _Vehicle) -> bool:
        """Whether this vehicle, in a nearer lane, covers too much of the other one: trucks are tall, cars are not."""
        covered = min(self.right, other.right) - max(self.left, other.left)
        allowed = 0.2 if self.model.truck else 0.7
        return covered > allowed * (other.right - other.left)


def draw(canvas: Canvas, lane_count: int, random: Random) -> None:
    """Draw the whole scene with `lane_count` lanes (2 or 3)."""
    canvas.sky(GROUND)
    scenery.sun(canvas, random)
    scenery.clouds(canvas, random)
    scenery.hills(canvas, GROUND, random)
    _row_of_houses(canvas, random)
    _road(canvas, lane_count)
    vehicles: list[_Vehicle] = []
    for index, (ground, scale) in enumerate(LANES[lane_count]):
        vehicles += _traffic(canvas, ground, scale, vehicles, leftwards=index == 0, random=random)
    for vehicle in vehicles:
        vehicle.model.draw(vehicle.pen, random.choice(PAINTS))


def _row_of_houses(canvas: Canvas, random: Random) -> None:
    _band(canvas, GROUND - 8, GROUND + 4, GRASS)
    x = random.uniform(-90, 0)
    while x < canvas.width:
        if random.random() < 0.28:
            x = _garden(canvas, x, random)
            continue
        width = random.uniform(6.0, 9.5)
        scenery.house(ShapePen(canvas, x, GROUND, HOUSE_SCALE), width, random.choice((1, 2, 2, 3)), random)
        x += width * HOUSE_SCALE + random.choice((2, 10))
    _band(canvas, GROUND, ROAD[0], PAVEMENT)
    for x in range(random.randint(20, 90), canvas.width, 210):
        scenery.street_lamp(ShapePen(canvas, x, GROUND + 10, HOUSE_SCALE))
        if random.random() < 0.7:
            scenery.tree(ShapePen(canvas, x + random.uniform(60, 130), GROUND + 10, HOUSE_SCALE), 4.6, random)


def _garden(canvas: Canvas, x: float, random: Random) -> float:
    """Draw a garden with trees and a hedge; returns its right edge in pixels."""
    width = random.uniform(90, 150)
    for share in (0.25, 0.7):
        scenery.tree(ShapePen(canvas, x + share * width, GROUND, HOUSE_SCALE), random.uniform(4.5, 7.5), random)
    for share in (0.1, 0.45, 0.85):
        scenery.bush(ShapePen(canvas, x + share * width, GROUND, HOUSE_SCALE), random)
    return x + width


def _road(canvas: Canvas, lane_count: int) -> None:
    top, bottom = ROAD
    _band(canvas, top - 3, top, KERB)
    _band(canvas, top, bottom, ASPHALT)
    _band(canvas, top + 4, top + 6, MARKING)
    _band(canvas, bottom - 7, bottom - 4, MARKING)
    _band(canvas, bottom, canvas.height, PAVEMENT)
    _band(canvas, bottom, bottom + 5, KERB)
    grounds = [ground for ground, _ in LANES[lane_count]]
    for ground in grounds[:-1]:
        _dashes(canvas, ground + 8, 3.4)


def _dashes(canvas: Canvas, y: float, thickness: float) -> None:
    for left in range(-20, canvas.width, 62):
        slant = thickness * 0.6
        corners = [
            (left + slant, y),
            (left + 36 + slant, y),
            (left + 36, y + thickness),
            (left, y + thickness),
        ]
        canvas.polygon(corners, MARKING)


def _traffic(
    canvas: Canvas, ground: float, scale: float, behind: list[_Vehicle], leftwards: bool, random: Random
) -> list[_Vehicle]:
    """Vehicles of one lane, left to right; none hides a vehicle in a lane behind."""
    lane: list[_Vehicle] = []
    x = random.uniform(-40, 170)
    while x < canvas.width:
        model = random.choice(TRUCKS if random.random() < 0.4 else CARS)
        length = model.length * scale
        vehicle = _Vehicle(model, ShapePen(canvas, x + length / 2, ground, scale, mirrored=leftwards), x, x + length)
        if x + length * 0.75 < canvas.width and not any(vehicle.hides(other) for other in behind):
            lane.append(vehicle)
            x += length
        x += random.uniform(60, 240)
    return lane


def _band(canvas: Canvas, top: float, bottom: float, colour: Colour) -> None:
    canvas.polygon([(0, top), (canvas.width, top), (canvas.width, bottom), (0, bottom)], colour)
