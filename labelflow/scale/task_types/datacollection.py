"""`datacollection`: facts looked up from a starting point. Source: contract A "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Literal

import pyarrow as pa

from labelflow.media import Media
from labelflow.scale.task_types.base import (
    Answer,
    Columns,
    Descriptions,
    Params,
    TaskResponse,
    TaskType,
    Text,
    WithAttachment,
    struct_of,
)
from labelflow.scale.task_types.fake_text import fill_in


class DataCollectionParams(WithAttachment):
    """`fields` describes each fact that is wanted."""

    instruction: Text
    attachment_type: Literal["text", "image", "website"]
    fields: Descriptions


class DataCollectionResponse(TaskResponse):
    """What was found, by the job's own keys."""

    fields: dict[str, str | None]


def _columns(params: Params) -> Columns:
    return [pa.field("fields", struct_of(params.get("fields")))]


def _imagine(params: Params, media: list[Media], rng: random.Random) -> Answer:
    return {"fields": fill_in(params["fields"], rng)}


TYPE = TaskType("datacollection", DataCollectionParams, DataCollectionResponse, _columns, _imagine)
