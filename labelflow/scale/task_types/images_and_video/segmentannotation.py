"""`segmentannotation`: a label for each pixel of an image. Source: current API."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.attachment_fields import ATTACHMENT, CONTEXT
from labelflow.scale.task_types.shared.checks import Url, max_items
from labelflow.scale.task_types.shared.drawing.attributes import AnnotationAttribute, attributes_type
from labelflow.scale.task_types.shared.drawing.labels import LabelTree, parents
from labelflow.scale.task_types.shared.drawing.random_shapes import image_size
from labelflow.scale.task_types.shared.files.fake_masks import fake_masks
from labelflow.scale.task_types.shared.params import TaskParams
from labelflow.scale.task_types.shared.responses import CurrentResponse, decode_response
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType

MAX_LABELS = 50
_COMBINED = {"image": "image", "indexedImage": "indexed_image", "extendedIndexedImage": "extended_indexed_image"}


class SegmentAnnotationParams(TaskParams):
    """The labels; one with `instance_label` has a mask for each object."""

    attachment_fields = (ATTACHMENT, CONTEXT)
    required = (("attachment",), ("labels",))
    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    attachment: Url | None = None
    labels: Annotated[LabelTree, max_items(MAX_LABELS, "labels")] | None = None
    allow_unlabeled: bool | None = None
    annotation_attributes: dict[str, AnnotationAttribute] | None = None


class Combined(BaseModel):
    """Masks of all labels. Use `indexed_image`: one channel with the `index` of each segment, 0 without a label."""

    image: str | None = None
    indexed_image: str | None = None
    extended_indexed_image: str | None = None


class Segment(BaseModel):
    """A label, or an object with an instance label. mask: its own mask. index: in the combined masks."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    label: str
    parents: list[str] | None = None
    index: int | None = None
    color: str | None = None
    num_pixels: int | None = None
    mask: str | None = None
    attributes: dict[str, Any] | None = None


class SegmentAnnotationResponse(CurrentResponse):
    """The masks, and what their indexes mean. unlabeled: the mask of the pixels without a label."""

    combined: Combined | None = None
    segments: list[Segment]
    unlabeled: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_service(cls, response: Any, info: ValidationInfo) -> Any:
        """Join `labelMapping` and `annotations`, whose entries for a label have the same order."""
        response = decode_response(response)
        mapping, masks = (_object(response, key) for key in ("labelMapping", "annotations"))
        if not mapping and not masks:
            raise validation_error("has neither `labelMapping` nor `annotations`", "use the documented form")
        combined, labeled = _object(masks, "combined"), _object(masks, "labeled")
        return {
            "combined": {_COMBINED[key]: url for key, url in combined.items() if key in _COMBINED},
            "segments": [
                {"parents": (info.context or {}).get(label), **segment, "label": label}
                for label in dict.fromkeys([*mapping, *labeled])
                for segment in _segments(mapping.get(label), labeled.get(label))
            ],
            "unlabeled": masks.get("unlabeled"),
        }


def _object(holder: Any, key: str) -> Mapping[str, Any]:
    value = holder.get(key) if isinstance(holder, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _segments(entries: Any, masks: Any) -> list[dict[str, Any]]:
    """Return the segments of a label: of an instance label one for each object."""
    described, urls = _as_list(entries), _as_list(masks)
    segments = []
    for index in range(max(len(described), len(urls))):
        entry = described[index] if index < len(described) and isinstance(described[index], Mapping) else {}
        mask = urls[index] if index < len(urls) else None
        segments.append({**entry, "num_pixels": entry.get("numPixels"), "mask": mask})
    return segments


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _columns(params: Params) -> Columns:
    segment: list[tuple[str, pa.DataType]] = [
        ("label", pa.string()),
        ("parents", pa.list_(pa.string())),
        ("index", pa.int64()),
        ("color", pa.string()),
        ("num_pixels", pa.int64()),
        ("mask", pa.string()),
        ("attributes", attributes_type(params.get("annotation_attributes"))),
    ]
    return [
        pa.field("combined", pa.struct([(name, pa.string()) for name in _COMBINED.values()])),
        pa.field("segments", pa.list_(pa.struct(segment))),
        pa.field("unlabeled", pa.string()),
    ]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return fake_masks(params.get("labels"), image_size(media), bool(params.get("allow_unlabeled")), rng)


TYPE = TaskType(
    "segmentannotation",
    SegmentAnnotationParams,
    SegmentAnnotationResponse,
    _columns,
    _fake_response,
    result_files=("annotations.combined.*", "annotations.labeled.*", "annotations.unlabeled"),
    context=lambda params: parents([params.get("labels")]),
)
