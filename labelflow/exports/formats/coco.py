"""COCO: images, annotations and categories in one JSON file. Source: https://cocodataset.org/#format-data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import orjson
import pyarrow as pa

from labelflow.exports.export_format import ExportCounts, ExportFormat, ExportSettings, Writer

FRAME = "pixels of the pictures as people see them, after the rotation that EXIF asks for"
NOT_MEASURED = "the size of the picture is not known (attachments.check was off)"
NOT_PARSED = "its response does not have the documented form (see response_json)"
_VISIBLE = 2  # of a keypoint: labeled and visible


class CocoWriter(Writer):
    """Writes `instances.json`, or `instances_<part>.json`. Ids start at 1, in the order of the labels."""

    def __init__(self, settings: ExportSettings, part: str, folder: Path) -> None:
        self._path = folder / (f"instances_{part}.json" if part != "all" else "instances.json")
        self._annotations_path = folder / f"annotations.{part}.part"
        self._category_ids = {name: number for number, name in enumerate(settings.classes, 1)}
        self._with_points: set[str] = set()
        self._file, self._annotations = self._path.open("wb"), self._annotations_path.open("wb")
        self._images = self._boxes = 0
        info = {"description": f"labelflow job {settings.job.name}; {FRAME}"}
        self._file.write(b'{"info":' + orjson.dumps(info) + b',"images":[')

    def write(self, labels: pa.Table, counts: ExportCounts) -> None:
        for label in labels.to_pylist():
            counts.labels += 1
            media = (label["media"] or [None])[0] or {}
            if label["annotations"] is None or media.get("width") is None:
                counts.omitted_rows[NOT_PARSED if label["annotations"] is None else NOT_MEASURED] += 1
                continue
            counts.rows += 1
            self._images += 1
            self._write_image(label, media["width"], media["height"])
            for shape in label["annotations"]:
                self._write_annotation(shape, counts)

    def finish(self) -> list[Path]:
        self._annotations.close()
        self._file.write(b'],"annotations":[')
        with self._annotations_path.open("rb") as annotations:
            shutil.copyfileobj(annotations, self._file)
        self._annotations_path.unlink()
        self._file.write(
            b'],"categories":' + orjson.dumps([self._category(name) for name in self._category_ids]) + b"}"
        )
        self._file.close()
        return [self._path]

    def _write_image(self, label: dict[str, Any], width: int, height: int) -> None:
        url = label["attachment"]
        image = {
            "id": self._images,
            "file_name": file_name(url),
            "width": width,
            "height": height,
            "coco_url": url,
            "row_id": label["row_id"],
        }
        _append(self._file, image, first=self._images == 1)

    def _write_annotation(self, shape: dict[str, Any], counts: ExportCounts) -> None:
        category_id = self._category_ids.get(shape["label"])
        if category_id is None:
            counts.omitted_items[f"the class {shape['label']} is not one of the classes"] += 1
            return
        geometry = to_geometry(shape)
        if geometry is None:
            counts.omitted_items[f"COCO cannot hold this {shape.get('type') or 'shape'}"] += 1
            return
        if "keypoints" in geometry:
            self._with_points.add(shape["label"])
        self._boxes += 1
        counts.items += 1
        attributes = {name: value for name, value in (shape.get("attributes") or {}).items() if value is not None}
        annotation = {
            "id": self._boxes,
            "image_id": self._images,
            "category_id": category_id,
            "iscrowd": 0,
            **geometry,
            **({"attributes": attributes} if attributes else {}),
        }
        _append(self._annotations, annotation, first=self._boxes == 1)

    def _category(self, name: str) -> dict[str, Any]:
        points = {"keypoints": [name], "skeleton": []} if name in self._with_points else {}
        return {"id": self._category_ids[name], "name": name, "supercategory": "", **points}


def file_name(uri: str) -> str:
    """Return the path of a file below its bucket or host.

    >>> file_name("s3://my-bucket/street/a%20b.jpg"), file_name("https://host/street/a%20b.jpg?v=2")
    ('street/a%20b.jpg', 'street/a b.jpg')
    """
    if uri.lower().startswith("s3://"):
        return uri[5:].partition("/")[2]
    return unquote(urlsplit(uri).path).lstrip("/")


def to_geometry(shape: dict[str, Any]) -> dict[str, Any] | None:
    """Return the bbox, the area and the segmentation or keypoints of a shape; None if COCO cannot hold it.

    A rotated box is a polygon of its corners, with the box around them.
    """
    vertices = [(vertex["x"], vertex["y"]) for vertex in shape.get("vertices") or []]
    if any(None in vertex for vertex in vertices):
        return None
    kind = shape.get("type") or ("box" if shape.get("left") is not None else "polygon")
    if kind == "point" and shape.get("x") is not None:
        x, y = shape["x"], shape["y"]
        return {"bbox": [x, y, 0.0, 0.0], "area": 0.0, "keypoints": [x, y, _VISIBLE], "num_keypoints": 1}
    if kind == "box" and not shape.get("rotation"):
        left, top, width, height = sides = [shape[name] for name in ("left", "top", "width", "height")]
        if None in sides:
            return None
        return {"bbox": [left, top, width, height], "area": width * height, "segmentation": []}
    if kind in ("polygon", "box") and len(vertices) >= 3:
        flat = [number for vertex in vertices for number in vertex]
        return {"bbox": _bounds(vertices), "area": _area(vertices), "segmentation": [flat]}
    return None


def _bounds(vertices: list[tuple[float, float]]) -> list[float]:
    xs, ys = zip(*vertices, strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _area(vertices: list[tuple[float, float]]) -> float:
    """The area of a polygon, by the shoelace formula."""
    following = [*vertices[1:], vertices[0]]
    return abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(vertices, following, strict=True))) / 2


def _append(file: BinaryIO, value: dict[str, Any], *, first: bool) -> None:
    file.write(orjson.dumps(value) if first else b"," + orjson.dumps(value))


def _columns(_: pa.Schema) -> list[str]:
    return ["row_id", "attachment", "media", "source", "annotations"]


FORMAT = ExportFormat("coco", ("annotation", "polygonannotation", "imageannotation"), _columns, CocoWriter)
