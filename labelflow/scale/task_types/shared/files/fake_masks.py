"""Masks of the segments of an image, for the sandbox. Source: current API."""

from __future__ import annotations

import random
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image

from labelflow.scale.task_types.shared.drawing.labels import leaves
from labelflow.scale.task_types.shared.drawing.random_shapes import random_box
from labelflow.scale.task_types.shared.files.result_files import FakeFile

MAX_INSTANCES = 3  # of a label


def fake_masks(labels: object, size: tuple[int, int], allow_unlabeled: bool, rng: random.Random) -> dict[str, Any]:
    """Return the response of a segmentation with its files: rectangles, each in front of those before it.

    size: of the image in pixels. allow_unlabeled: whether pixels may remain without a label; else the first label
        has what the others do not have.
    """
    instances = _instance_labels(labels)
    names = [name for name in leaves(labels) or ["object"] for _ in range(_count(name, instances, rng))]
    indexed = Image.new("L", size, 0 if allow_unlabeled else 1)
    for index in range(1 if allow_unlabeled else 2, len(names) + 1):
        box = random_box(*size, 0, 0, rng)
        indexed.paste(index, (box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"]))
    colors = [(0, 0, 0), *[tuple(rng.randrange(256) for _ in range(3)) for _ in names]]
    mapping, labeled = _by_label(names, indexed, colors, instances)
    zero = Image.new("L", size)
    return {
        "labelMapping": mapping,
        "annotations": {
            "combined": {
                "image": _png("combined", _colored(indexed, colors)),
                "indexedImage": _png("combined-indexed", indexed),
                "extendedIndexedImage": _png("combined-extended", Image.merge("RGB", (indexed, zero, zero))),
            },
            "labeled": labeled,
            "unlabeled": _mask("unlabeled", indexed, 0),
        },
    }


def _by_label(
    names: list[str], indexed: Image.Image, colors: list[tuple[int, ...]], instances: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the indexes mean, and the masks, by label: lists for instance labels."""
    pixels = indexed.histogram()
    mapping: dict[str, Any] = {}
    labeled: dict[str, Any] = {}
    for index, name in enumerate(names, start=1):
        entry = {"index": index, "color": "#{:02x}{:02x}{:02x}".format(*colors[index])}
        mask = _mask(f"segment-{index}", indexed, index)
        if name in instances:
            mapping.setdefault(name, []).append({**entry, "numPixels": pixels[index]})
            labeled.setdefault(name, []).append(mask)
        else:
            mapping[name], labeled[name] = entry, mask
    return mapping, labeled


def _count(name: str, instances: set[str], rng: random.Random) -> int:
    return rng.randint(1, MAX_INSTANCES) if name in instances else 1


def _instance_labels(labels: object, inherited: bool = False) -> set[str]:
    """Return the leaves below a label with `instance_label`."""
    found: set[str] = set()
    for label in labels if isinstance(labels, list) else []:
        if isinstance(label, Mapping):
            is_instance = inherited or label.get("instance_label") is True
            found |= _instance_labels(label.get("subchoices") or [str(label.get("choice"))], is_instance)
        elif inherited:
            found.add(str(label))
    return found


def _colored(indexed: Image.Image, colors: list[tuple[int, ...]]) -> Image.Image:
    palette = indexed.convert("P")
    palette.putpalette([channel for color in colors for channel in color])
    colored = palette.convert("RGBA")
    colored.putalpha(_only(indexed, 0).point(lambda value: 255 - value))
    return colored


def _only(indexed: Image.Image, index: int) -> Image.Image:
    return indexed.point([255 if value == index else 0 for value in range(256)])


def _mask(name: str, indexed: Image.Image, index: int) -> FakeFile:
    return _png(name, _only(indexed, index))


def _png(name: str, image: Image.Image) -> FakeFile:
    content = BytesIO()
    image.save(content, "PNG", compress_level=1)
    return FakeFile(f"{name}.png", content.getvalue(), "image/png")
