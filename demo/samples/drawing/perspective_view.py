"""A street in perspective up to the horizon, with traffic in both directions."""

from __future__ import annotations

from random import Random

from demo.samples.drawing import rear_view, scenery
from demo.samples.drawing.canvas import Canvas
from demo.samples.drawing.light import ASPHALT, GRASS, KERB, LAMP, MARKING, PAINTS, PAVEMENT, Colour, darker, mix
from demo.samples.drawing.perspective import Camera
from demo.samples.drawing.shape_pen import ShapePen

LANE = 3.3
PATH = 2.4
FAR = 150.0
NEAR = 3.5


def draw(canvas: Canvas, lane_count: int, random: Random) -> None:
    """Draw the whole scene with `lane_count` lanes (2 to 4); traffic drives on the right."""
    camera = Camera(canvas, x=random.uniform(-0.6, 0.6), height=3.6, horizon=158.0, focal_length=430.0)
    half = lane_count * LANE / 2
    canvas.sky(camera.horizon + 4)
    scenery.sun(canvas, random)
    scenery.clouds(canvas, random)
    scenery.hills(canvas, camera.horizon + 4, random)
    camera.ground(-400, 400, NEAR, 900, GRASS)
    _road(camera, half, lane_count)
    for z, side in _stations(random):
        _roadside(camera, side, half, z, random)
    for place in _vehicle_places(lane_count, random):
        draw_vehicle = rear_view.truck if random.random() < 0.38 else rear_view.car
        draw_vehicle(camera, place, random.choice(PAINTS))


def _road(camera: Camera, half: float, lane_count: int) -> None:
    camera.ground(-half - PATH, half + PATH, NEAR, FAR, PAVEMENT)
    camera.ground(-half - 0.25, half + 0.25, NEAR, FAR, KERB)
    camera.ground(-half, half, NEAR, FAR, ASPHALT)
    for side in (-half + 0.3, half - 0.3):
        camera.ground(side - 0.07, side + 0.07, NEAR, FAR, MARKING)
    for lane in range(1, lane_count):
        _marking(camera, -half + lane * LANE, solid=lane_count == 4 and lane == 2)


def _marking(camera: Camera, x: float, solid: bool) -> None:
    if solid:
        for side in (x - 0.16, x + 0.16):
            camera.ground(side - 0.06, side + 0.06, NEAR, FAR, MARKING)
        return
    for z in range(4, int(FAR), 7):
        camera.ground(x - 0.07, x + 0.07, z, z + 3, MARKING)


def _stations(random: Random) -> list[tuple[float, int]]:
    """Positions and sides of roadside objects, farthest first."""
    places: list[tuple[float, int]] = []
    for side in (-1, 1):
        z = 6.0 + random.uniform(0, 6)
        while z < 120:
            places.append((z, side))
            z += 13.0
    return sorted(places, reverse=True)


def _roadside(camera: Camera, side: int, half: float, z: float, random: Random) -> None:
    """Draw one plot: a house or a garden, then a lamp or a tree at the kerb."""
    edge = side * (half + PATH + 1.0)
    if random.random() < 0.7:
        _house(camera, side, edge, z, random)
    else:
        for step in (8.0, 3.0):
            scenery.tree(camera.pen(edge + side * random.uniform(1, 4), z + step), random.uniform(5, 7), random)
        scenery.bush(camera.pen(edge + side, z + 1), random)
    kerb = camera.pen(side * (half + 0.9), z)
    if random.random() < 0.45:
        scenery.street_lamp(ShapePen(kerb.canvas, kerb.x, kerb.y, kerb.scale, mirrored=side > 0))
    elif random.random() < 0.5:
        scenery.tree(camera.pen(side * (half + 1.6), z), random.uniform(3.4, 4.4), random)


def _house(camera: Camera, side: int, edge: float, z: float, random: Random) -> None:
    """Draw a house whose long side faces the road and whose gable end faces the camera."""
    wall, roof = random.choice(scenery.WALLS), random.choice(scenery.ROOFS)
    far, width = z + random.uniform(9.0, 12.0), 8.0
    height = random.choice((3.4, 6.2, 6.2, 9.0))
    camera.wall(edge, z, far, 0, height, darker(wall, 0.16))
    camera.wall(edge, z, far, 0, 0.5, darker(wall, 0.4))
    _side_windows(camera, edge, (z, far), height, random)
    _gable_end(camera, side, edge, z, (width, height), wall, random)
    ridge, top = edge + side * width / 2, height + 3.0
    eaves = edge - side * 0.4
    slope = [
        camera.project(eaves, height - 0.2, z - 0.3),
        camera.project(eaves, height - 0.2, far),
        camera.project(ridge, top, far),
        camera.project(ridge, top, z - 0.3),
    ]
    camera.canvas.polygon(slope, roof)


def _side_windows(camera: Camera, x: float, span: tuple[float, float], height: float, random: Random) -> None:
    near, far = span
    count = 4
    step = (far - near) / count
    for storey in range(int(height // 2.8)):
        low = 1.1 + storey * 2.9
        for index in range(count):
            z = near + step * (index + 0.28)
            camera.wall(x, z - 0.12, z + 1.42, low - 0.12, low + 1.52, scenery.FRAME)
            lit = camera.canvas.light.lamps_on and random.random() < 0.6
            pane: Colour = LAMP if lit else mix(rear_view.PANE, (40, 60, 90), 0.2)
            camera.wall(x, z, z + 0.6, low, low + 1.4, pane, glows=lit)
            camera.wall(x, z + 0.7, z + 1.3, low, low + 1.4, pane, glows=lit)


def _gable_end(
    camera: Camera, side: int, edge: float, z: float, size: tuple[float, float], wall: Colour, random: Random
) -> None:
    width, height = size
    pen = camera.pen(min(edge, edge + side * width), z)
    pen.shape([(0, 0), (0, height), (width / 2, height + 3.0), (width, height), (width, 0)], wall)
    pen.box(0, 0, width, 0.5, darker(wall, 0.3))
    for storey in range(int(height // 2.8)):
        for left in (1.5, 5.2):
            scenery.window(pen, left, 1.1 + storey * 2.9, 1.2, 1.4, random.random() < 0.6)
    scenery.window(pen, width / 2 - 0.45, height + 0.6, 0.9, 0.9, random.random() < 0.4)


def _vehicle_places(lane_count: int, random: Random) -> list[rear_view.Place]:
    """Places of the vehicles, farthest first; those in the left half of the lanes drive towards the camera."""
    places = []
    for lane in range(lane_count):
        z = random.uniform(7.5, 18)
        while z < 75:
            x = (lane - (lane_count - 1) / 2) * LANE
            places.append(rear_view.Place(x, z, oncoming=lane < lane_count // 2))
            z += random.uniform(14, 34)
    return sorted(places, key=lambda place: -place.z)
