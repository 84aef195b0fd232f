"""`documenttranscription`: texts in a document, and where they stand on its pages. Source: current API."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import ATTACHMENT, ATTACHMENTS, CONTEXT
from labelflow.scale.task_types.shared.checks import Text, Url, not_empty
from labelflow.scale.task_types.shared.drawing.fake_shapes import fake_uuid
from labelflow.scale.task_types.shared.drawing.random_shapes import image_size, random_box
from labelflow.scale.task_types.shared.drawing.shapes import VERTEX, Vertex
from labelflow.scale.task_types.shared.fake_text import fake_words
from labelflow.scale.task_types.shared.params import NestedParams, TaskParams
from labelflow.scale.task_types.shared.responses import CurrentResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType

_SIDES = ("left", "top", "width", "height")


class Feature(NestedParams):
    """What to find in the document. type: `block`; others are not documented."""

    type: Text
    label: Text


class DocumentTranscriptionParams(TaskParams):
    """The pages, and what to find on them."""

    attachment_fields = (ATTACHMENT, ATTACHMENTS, CONTEXT)
    required = (("attachment", "attachments"), ("features",))
    instruction: str | None = None
    attachment: Url | None = None
    attachments: Annotated[list[Url], not_empty("one page")] | None = None
    features: Annotated[list[Feature], not_empty("one feature")] | None = None


class Location(BaseModel):
    """Where a text stands, in pixels from the top left of its page."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    type: str | None = None
    left: float | None = None
    top: float | None = None
    width: float | None = None
    height: float | None = None
    vertices: list[Vertex] | None = None


class TextBlock(BaseModel):
    """A text of the document. page: from 0. refs: other texts that it refers to."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    uuid: str | None = None
    page: int | None = None
    label: str | None = None
    text: str | None = None
    location: Location | None = None
    refs: list[Any] | None = None


class DocumentTranscriptionResponse(CurrentResponse):
    """The texts that were found."""

    annotations: list[TextBlock]


def _columns(params: Params) -> Columns:
    location: list[tuple[str, pa.DataType]] = [
        ("type", pa.string()),
        *[(name, pa.float64()) for name in _SIDES],
        ("vertices", pa.list_(VERTEX)),
    ]
    block: list[tuple[str, pa.DataType]] = [
        ("uuid", pa.string()),
        ("page", pa.int64()),
        ("label", pa.string()),
        ("text", pa.string()),
        ("location", pa.struct(location)),
        ("refs", pa.list_(pa.string())),
    ]
    return [pa.field("annotations", pa.list_(pa.struct(block)))]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    features: list[Mapping[str, Any]] = params.get("features") or []
    return {"annotations": [_fake_block(feature, media, rng) for feature in features]}


def _fake_block(feature: Mapping[str, Any], media: list[Media], rng: random.Random) -> dict[str, Any]:
    page = rng.randrange(max(1, len(media)))
    return {
        "uuid": fake_uuid(rng),
        "page": page,
        "label": feature["label"],
        "text": " ".join(fake_words(rng.randint(1, 3), [], rng)),
        "location": {"type": "box", **random_box(*image_size(media[page : page + 1]), 0, 0, rng)},
        "refs": [],
    }


TYPE = TaskType(
    "documenttranscription",
    DocumentTranscriptionParams,
    DocumentTranscriptionResponse,
    _columns,
    _fake_response,
)
