"""Scenery: houses, trees, lamps, hills. Sizes are in metres where a pen draws."""

from __future__ import annotations

import math
from random import Random

from demo.samples.drawing.canvas import Canvas
from demo.samples.drawing.light import GLASS, LAMP, Colour, darker, lighter, mix
from demo.samples.drawing.shape_pen import ShapePen

WALLS: tuple[Colour, ...] = (
    (232, 208, 168),
    (214, 128, 100),
    (240, 232, 214),
    (168, 194, 204),
    (226, 176, 166),
    (190, 206, 168),
    (236, 196, 110),
)
ROOFS: tuple[Colour, ...] = ((164, 70, 56), (98, 84, 90), (132, 88, 66), (72, 92, 112))
DOORS: tuple[Colour, ...] = ((62, 110, 92), (150, 56, 52), (48, 84, 130), (96, 66, 48))
LEAVES: tuple[Colour, ...] = ((74, 138, 72), (98, 158, 78), (58, 118, 82), (142, 160, 66), (196, 136, 60))
AWNINGS: tuple[Colour, ...] = ((206, 62, 56), (42, 122, 128), (230, 164, 48))
FRAME: Colour = (250, 248, 242)
TRUNK: Colour = (110, 80, 58)


def window(pen: ShapePen, left: float, low: float, width: float, height: float, lit: bool) -> None:
    """Draw a window with a white frame; a `lit` one glows if lamps are on."""
    pen.box(left - 0.1, low - 0.1, left + width + 0.1, low + height + 0.1, FRAME)
    shines = lit and pen.canvas.light.lamps_on
    pen.box(
        left,
        low,
        left + width,
        low + height,
        LAMP if shines else mix(GLASS, (70, 96, 124), 0.45),
        glows=shines,
    )
    pen.box(left + width / 2 - 0.04, low, left + width / 2 + 0.04, low + height, FRAME)
    pen.box(left, low + height * 0.6, left + width, low + height * 0.6 + 0.08, FRAME)
    pen.box(left - 0.2, low - 0.22, left + width + 0.2, low - 0.08, FRAME)


def house(pen: ShapePen, width: float, storeys: int, random: Random) -> None:
    """Draw a house whose left corner is at the pen: with a gable, or with a flat roof and a shop."""
    wall, roof = random.choice(WALLS), random.choice(ROOFS)
    height = 3.0 * storeys + 0.2
    pen.box(0, 0, width, height, wall)
    pen.box(0, 0, width, 0.45, darker(wall, 0.3))
    shop = storeys > 2 or random.random() < 0.25
    if shop:
        _shop_front(pen, width, random)
        _flat_roof(pen, width, height, wall)
    else:
        _door(pen, 0.9, random.choice(DOORS))
        _gable(pen, width, height, roof)
    for storey in range(1 if shop else 0, storeys):
        _window_row(pen, width, 3.0 * storey + 1.15, random, beside_door=storey == 0)


def _window_row(pen: ShapePen, width: float, low: float, random: Random, beside_door: bool) -> None:
    count = max(2, round(width / 2.3))
    step = width / count
    for index in range(1 if beside_door else 0, count):
        window(pen, step * index + step / 2 - 0.5, low, 1.0, 1.35, random.random() < 0.6)


def _door(pen: ShapePen, left: float, colour: Colour) -> None:
    pen.box(left - 0.12, 0, left + 1.12, 2.3, FRAME)
    pen.box(left, 0, left + 1.0, 2.18, colour)
    pen.box(left + 0.2, 1.3, left + 0.8, 1.95, lighter(colour, 0.45))
    pen.disc(left + 0.86, 1.0, 0.07, LAMP)
    pen.box(left - 0.25, -0.05, left + 1.25, 0.12, (186, 184, 178))


def _gable(pen: ShapePen, width: float, height: float, roof: Colour) -> None:
    rise = min(2.4, width * 0.34)
    pen.box(width * 0.7, height + rise * 0.2, width * 0.7 + 0.8, height + rise + 0.7, darker(roof, 0.3))
    slope = [
        (-0.4, height - 0.05),
        (0.7, height + rise),
        (width - 0.7, height + rise),
        (width + 0.4, height - 0.05),
    ]
    pen.shape(slope, roof)
    for share in (0.28, 0.54, 0.8):
        y = height + rise * share
        pen.box(-0.4 + 1.1 * share, y, width + 0.4 - 1.1 * share, y + 0.06, darker(roof, 0.15))
    pen.box(-0.4, height - 0.15, width + 0.4, height + 0.02, FRAME)


def _flat_roof(pen: ShapePen, width: float, height: float, wall: Colour) -> None:
    pen.box(-0.15, height, width + 0.15, height + 0.5, darker(wall, 0.18))
    pen.box(-0.3, height + 0.42, width + 0.3, height + 0.66, lighter(wall, 0.35))


def _shop_front(pen: ShapePen, width: float, random: Random) -> None:
    awning = random.choice(AWNINGS)
    lit = pen.canvas.light.lamps_on
    pane: Colour = LAMP if lit else mix(GLASS, (70, 96, 124), 0.3)
    pen.box(0.4, 0.35, width - 0.4, 2.5, darker(awning, 0.45))
    pen.box(0.6, 0.6, width - 2.1, 2.2, pane, glows=lit)
    pen.box(width - 1.8, 0.0, width - 0.7, 2.2, mix(pane, (90, 90, 96), 0.3), glows=lit)
    stripes = 2 * round(width / 1.1) + 1
    step = (width - 0.4) / stripes
    for index in range(stripes):
        left = 0.2 + step * index
        colour = awning if index % 2 == 0 else FRAME
        pen.box(left, 2.1, left + step, 2.85, colour)
        pen.disc(left + step / 2, 2.1, step / 2, colour)


def tree(pen: ShapePen, height: float, random: Random) -> None:
    """Draw a tree with its trunk at the pen: broad, sometimes a poplar or a fir."""
    leaves = random.choice(LEAVES)
    kind = random.random()
    pen.box(-0.17, 0, 0.17, height * 0.5, TRUNK)
    if kind < 0.2:
        _fir(pen, height, darker(LEAVES[2], 0.2))
        return
    spread = height * (0.14 if kind < 0.35 else 0.25)
    blobs = [(0.0, 0.78, 1.0), (-0.7, 0.6, 0.8), (0.75, 0.58, 0.82), (0.05, 0.5, 0.9), (0.35, 0.8, 0.7)]
    for x, y, size in blobs:
        pen.disc(x * spread, y * height, size * spread, darker(leaves, 0.16))
    for x, y, size in blobs:
        pen.disc(x * spread - spread * 0.16, y * height + spread * 0.16, size * spread * 0.78, leaves)
    pen.disc(-spread * 0.4, height * 0.82, spread * 0.34, lighter(leaves, 0.16))


def _fir(pen: ShapePen, height: float, leaves: Colour) -> None:
    for low, half, top in ((0.18, 0.24, 0.62), (0.4, 0.19, 0.82), (0.62, 0.14, 1.0)):
        points = [(-half * height, low * height), (0.0, top * height), (half * height, low * height)]
        pen.shape(points, leaves, 0.15)
        pen.shape([points[0], points[1], (-half * height * 0.2, low * height)], lighter(leaves, 0.12), 0.1)


def bush(pen: ShapePen, random: Random) -> None:
    """Draw a low bush, about two metres wide."""
    leaves = random.choice(LEAVES[:3])
    for x, y, radius in ((-0.6, 0.35, 0.5), (0.55, 0.35, 0.48), (0.0, 0.55, 0.6)):
        pen.disc(x, y, radius, darker(leaves, 0.12))
        pen.disc(x - 0.08, y + 0.08, radius * 0.7, leaves)


def street_lamp(pen: ShapePen) -> None:
    """Draw a street lamp, 5 m tall, with its arm to the right."""
    pole: Colour = (70, 76, 84)
    pen.box(-0.14, 0, 0.14, 0.7, pole)
    pen.box(-0.07, 0, 0.07, 5.0, pole)
    pen.box(-0.07, 4.9, 1.1, 5.04, pole, 0.05)
    pen.box(0.6, 4.74, 1.25, 4.92, LAMP, 0.06, glows=pen.canvas.light.lamps_on)
    pen.halo(0.92, 4.8, 2.0, LAMP)


def sun(canvas: Canvas, random: Random) -> None:
    """Draw the sun: low at dusk, hidden if overcast."""
    x = random.uniform(0.1, 0.9) * canvas.width
    y = canvas.height * (0.4 if canvas.light.lamps_on else random.uniform(0.08, 0.16))
    if canvas.light.name == "overcast":
        return
    canvas.halo((x, y), 80, (255, 240, 190))
    canvas.ellipse((x, y), 21, 21, (255, 214, 150) if canvas.light.lamps_on else (255, 246, 210), glows=True)


def clouds(canvas: Canvas, random: Random) -> None:
    """Draw a few clouds, more of them if overcast."""
    colour = mix(canvas.light.sky_low, (255, 255, 255), 0.4)
    for _ in range(6 if canvas.light.name == "overcast" else random.randint(1, 3)):
        x, y = random.uniform(0, canvas.width), random.uniform(24, canvas.height * 0.24)
        size = random.uniform(10, 20)
        for offset, lift, share in ((-1.3, 0.0, 0.7), (0.0, 0.35, 1.0), (1.2, 0.1, 0.8), (2.2, -0.1, 0.5)):
            canvas.ellipse(
                (x + offset * size, y - lift * size),
                size * share * 1.3,
                size * share * 0.8,
                colour,
                glows=True,
            )


def hills(canvas: Canvas, foot: float, random: Random) -> None:
    """Draw two ranges of distant hills that end `foot` pixels below the top."""
    for height, share in ((62, 0.6), (34, 0.3)):
        phase, pace = random.uniform(0, 6), random.uniform(0.008, 0.014)
        ridge = [
            (float(x), foot - height * (0.62 + 0.38 * math.sin(phase + x * pace) * math.cos(x * pace * 0.37)))
            for x in range(0, canvas.width + 9, 8)
        ]
        colour = mix(canvas.light.apply_to((96, 142, 108)), canvas.light.sky_low, share)
        canvas.polygon([(0, foot), *ridge, (canvas.width, foot)], colour, glows=True)
