"""`datacollection`: facts that annotators find from a starting point. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Literal

import pyarrow as pa

from labelflow.media import Media
from labelflow.scale.task_types.shared.checks import FieldDescriptions, Text
from labelflow.scale.task_types.shared.fake_text import fake_fields
from labelflow.scale.task_types.shared.params import AttachmentParams
from labelflow.scale.task_types.shared.responses import TaskResponse, struct_type
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType


class DataCollectionParams(AttachmentParams):
    """`fields` maps each requested fact to its description."""

    required = (("instruction",), ("attachment_type",), ("attachment",), ("fields",))
    instruction: Text | None = None
    attachment_type: Literal["text", "image", "website"] | None = None
    fields: FieldDescriptions | None = None


class DataCollectionResponse(TaskResponse):
    """The facts by the keys of `fields`."""

    fields: dict[str, str | None]


def _columns(params: Params) -> Columns:
    return [pa.field("fields", struct_type(params.get("fields")))]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return {"fields": fake_fields(params.get("fields") or {}, rng)}


TYPE = TaskType("datacollection", DataCollectionParams, DataCollectionResponse, _columns, _fake_response)
