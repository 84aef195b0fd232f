"""Street scenes with cars and trucks, as seen by cameras on city buses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from PIL import Image

from demo.samples.drawing import perspective_view, side_view
from demo.samples.drawing.canvas import Canvas
from demo.samples.drawing.light import LIGHTS, Light
from demo.samples.manifest import BadRow, DataSet, with_bad_rows

IMAGES = 64
WIDTH, HEIGHT = 640, 400  # pixels
JPEG_QUALITY = 88
HTTP_EVERY = 8  # every eighth image uses the http URL, if there is one

NO_SUCH_KEY = BadRow(9, "street-000065", "no such key")
FTP = BadRow(22, "street-000066", "ftp is not a scheme that can be fetched")
PAGE = BadRow(35, "street-000064", "a web page stored under a .jpg key")
TWICE = BadRow(48, "street-000005", "duplicate image_id")
NO_ID = BadRow(60, None, "the image_id is null")

DATA_SET = DataSet(rows=IMAGES + 5, bad_rows=(NO_SUCH_KEY, FTP, PAGE, TWICE, NO_ID))

PAGE_NAME = "000064.jpg"
PAGE_HTML = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Preview of street 000064</title></head>
<body>
<h1>Preview</h1>
<p>Please <a href="/sign-in">sign in</a> to see this picture.</p>
</body>
</html>
"""

Row = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Scene:
    """Description of one image: number, view, light, camera, time."""

    number: int
    camera: str
    draw: Callable[[Canvas, int, Random], None]
    light: Light
    lane_count: int
    captured_at: datetime

    @property
    def name(self) -> str:
        """The image's file name."""
        return f"{self.number:06}.jpg"

    def render(self) -> Image.Image:
        """Draw the image: 640 × 400 pixels, always the same."""
        canvas = Canvas(WIDTH, HEIGHT, self.light)
        self.draw(canvas, self.lane_count, Random(f"street {self.number}"))
        return canvas.to_image()


def scenes() -> list[Scene]:
    """All scenes; the view changes with every scene, the light with every second one."""
    return [_scene(number) for number in range(IMAGES)]


def file_names() -> list[str]:
    """Names of the files that `make` writes."""
    return [*(scene.name for scene in scenes()), PAGE_NAME]


def make(folder: Path) -> None:
    """Draw all images into the folder, and add a web page with the file name of a JPEG."""
    for scene in scenes():
        scene.render().save(folder / scene.name, "JPEG", quality=JPEG_QUALITY)
    (folder / PAGE_NAME).write_text(PAGE_HTML, encoding="utf-8", newline="\n")


def write_manifest(path: Path, base_uri: str, base_http: str | None = None) -> None:
    """Write the JSON Lines manifest: `image_id`, `image_uri`, `camera`, `captured_at`, `lane_count`.

    `base_uri` is the folder of the images; every eighth image uses `base_http` instead, if given.
    """
    good = [_row(scene, _storage_uri(scene.number, base_uri, base_http)) for scene in scenes()]
    lines = [json.dumps(row) + "\n" for row in with_bad_rows(good, _bad_rows(good, base_uri.rstrip("/")))]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _scene(number: int) -> Scene:
    random = Random(f"scene {number}")
    light = LIGHTS[number // 2 % len(LIGHTS)]
    bus = random.choice((3, 7, 12, 21))
    sideways = number % 2 == 0
    hour = random.randint(*light.hours)
    return Scene(
        number=number,
        camera=f"bus-{bus:02}-{'side' if sideways else 'front'}",
        draw=side_view.draw if sideways else perspective_view.draw,
        light=light,
        lane_count=random.choice((2, 3) if sideways else (2, 3, 4)),
        captured_at=datetime(2025, 5, 1 + number // 3, hour, random.randint(0, 59), random.randint(0, 59), tzinfo=UTC),
    )


def _storage_uri(number: int, base_uri: str, base_http: str | None) -> str:
    home = base_http if base_http and number % HTTP_EVERY == HTTP_EVERY - 1 else base_uri
    return home.rstrip("/")


def _row(scene: Scene, home: str) -> Row:
    return {
        "image_id": f"street-{scene.number:06}",
        "image_uri": f"{home}/{scene.name}",
        "camera": scene.camera,
        "captured_at": f"{scene.captured_at:%Y-%m-%dT%H:%M:%SZ}",
        "lane_count": scene.lane_count,
    }


def _bad_rows(good: list[Row], base_uri: str) -> list[tuple[BadRow, Row]]:
    uris = {
        NO_SUCH_KEY: f"{base_uri}/000065.jpg",
        FTP: "ftp://media.example.com/streets/000066.jpg",
        PAGE: f"{base_uri}/{PAGE_NAME}",
        TWICE: good[5]["image_uri"],
        NO_ID: f"{base_uri}/000030.jpg",
    }
    return [(bad, good[bad.index] | {"image_id": bad.row_id, "image_uri": uri}) for bad, uri in uris.items()]
