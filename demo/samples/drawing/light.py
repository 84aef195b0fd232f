"""Colours, and how the time of day changes them."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]

SHADOW: Colour = (20, 22, 34)
GLASS: Colour = (150, 190, 214)
LAMP: Colour = (255, 232, 160)
HEADLIGHT: Colour = (255, 248, 214)
TAILLIGHT: Colour = (226, 44, 40)
TYRE: Colour = (34, 35, 40)
CHASSIS: Colour = (58, 60, 68)

ASPHALT: Colour = (92, 94, 102)
MARKING: Colour = (238, 236, 226)
PAVEMENT: Colour = (186, 180, 170)
KERB: Colour = (214, 210, 202)
GRASS: Colour = (128, 174, 96)

PAINTS: tuple[Colour, ...] = (
    (200, 46, 44),
    (44, 98, 176),
    (242, 188, 52),
    (238, 238, 234),
    (52, 138, 100),
    (60, 64, 74),
    (226, 122, 44),
    (118, 76, 138),
    (104, 176, 196),
)


@dataclass(frozen=True, slots=True)
class Light:
    """A time of day: its sky, its tint, whether lamps are on, and its hours."""

    name: str
    sky_top: Colour
    sky_low: Colour
    tint: tuple[float, float, float]
    lamps_on: bool
    hours: tuple[int, int]

    def apply_to(self, colour: Colour) -> Colour:
        """A colour as seen in this light."""
        red, green, blue = (min(255, round(part * share)) for part, share in zip(colour, self.tint, strict=True))
        return red, green, blue


LIGHTS = (
    Light("noon", (92, 170, 232), (206, 234, 250), (1.0, 1.0, 1.0), False, (10, 14)),
    Light("morning", (142, 194, 232), (255, 232, 204), (1.04, 0.98, 0.92), False, (7, 9)),
    Light("overcast", (160, 174, 188), (216, 222, 228), (0.88, 0.9, 0.94), False, (10, 15)),
    Light("dusk", (52, 48, 104), (250, 158, 112), (0.64, 0.54, 0.68), True, (18, 19)),
)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Mix two colours: `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.25) -> Colour:
    """A darker shade of the colour; `share` is 0–1."""
    return mix(colour, (18, 18, 30), share)


def lighter(colour: Colour, share: float = 0.25) -> Colour:
    """A lighter shade of the colour; `share` is 0–1."""
    return mix(colour, (255, 255, 255), share)
