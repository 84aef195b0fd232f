"""`namedentityrecognition`: names in a text, and how they are related. Source: current API."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import CONTEXT
from labelflow.scale.task_types.shared.checks import Text, not_empty
from labelflow.scale.task_types.shared.drawing.attributes import AnnotationAttribute, attributes_type
from labelflow.scale.task_types.shared.drawing.fake_shapes import fake_uuid
from labelflow.scale.task_types.shared.params import NestedParams, TaskParams
from labelflow.scale.task_types.shared.responses import CurrentResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType

MAX_NAMES = 4  # in a fake response


class NameLabel(NestedParams):
    """A kind of names."""

    name: Text
    description: str | None = None


class NamedEntityRecognitionParams(TaskParams):
    """The text, and the kinds of names to mark. It has no attachment."""

    attachment_fields = (CONTEXT,)
    required = (("text",), ("labels",))
    instruction: str | None = None
    text: Text | None = None
    labels: Annotated[list[NameLabel], not_empty("one label")] | None = None
    annotation_attributes: dict[str, AnnotationAttribute] | None = None
    relationships: Any = None


class Name(BaseModel):
    """A name in the text. start, end: character positions; whether `end` is exclusive is not documented."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str | None = None
    start: int | None = None
    end: int | None = None
    text: str | None = None
    label: str | None = None
    attributes: dict[str, Any] | None = None


class Relationship(BaseModel):
    """A relationship between two names, by their ids."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str | None = None
    source_ref: str | None = None
    target_ref: str | None = None
    name: str | None = None


class NamedEntityRecognitionResponse(CurrentResponse):
    """The names in the text, and the relationships between them."""

    annotations: list[Name]
    relationships: list[Relationship] | None = None


def _columns(params: Params) -> Columns:
    positions = [("start", pa.int64()), ("end", pa.int64())]
    attributes = ("attributes", attributes_type(params.get("annotation_attributes")))
    name: list[tuple[str, pa.DataType]] = [
        ("id", pa.string()),
        *positions,
        ("text", pa.string()),
        ("label", pa.string()),
        attributes,
    ]
    relationship = [(key, pa.string()) for key in Relationship.model_fields]
    return [
        pa.field("annotations", pa.list_(pa.struct(name))),
        pa.field("relationships", pa.list_(pa.struct(relationship))),
    ]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    words = list(re.finditer(r"\w+", params.get("text") or ""))
    labels = [_label(label) for label in params.get("labels") or []] or ["name"]
    chosen = sorted(rng.sample(range(len(words)), min(len(words), rng.randint(1, MAX_NAMES))))
    names = [
        {
            "id": fake_uuid(rng),
            "start": words[index].start(),
            "end": words[index].end(),
            "text": words[index][0],
            "label": rng.choice(labels),
        }
        for index in chosen
    ]
    return {"annotations": names, "relationships": []}


def _label(label: Any) -> str:
    return str(label["name"]) if isinstance(label, Mapping) else str(label)


TYPE = TaskType(
    "namedentityrecognition",
    NamedEntityRecognitionParams,
    NamedEntityRecognitionResponse,
    _columns,
    _fake_response,
)
