"""`datacollection`: facts that annotators find from a starting point. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Literal

import pyarrow as pa

from labelflow.media import Media
from labelflow.scale.task_types.shared.base import (
    AttachmentParams,
    Columns,
    FieldDescriptions,
    Params,
    ResponseData,
    TaskResponse,
    TaskType,
    Text,
    struct_type,
)
from labelflow.scale.task_types.shared.fake_text import fake_fields


class DataCollectionParams(AttachmentParams):
    """`fields` maps each requested fact to its description."""

    instruction: Text
    attachment_type: Literal["text", "image", "website"]
    fields: FieldDescriptions


class DataCollectionResponse(TaskResponse):
    """The facts by the keys of `fields`."""

    fields: dict[str, str | None]


def _columns(params: Params) -> Columns:
    return [pa.field("fields", struct_type(params.get("fields")))]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return {"fields": fake_fields(params["fields"], rng)}


TYPE = TaskType("datacollection", DataCollectionParams, DataCollectionResponse, _columns, _fake_response)
