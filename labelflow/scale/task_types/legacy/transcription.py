"""`transcription`: the text of a document (OCR). Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Literal

import pyarrow as pa
from pydantic import model_validator

from labelflow.media import Media
from labelflow.scale.task_types.shared.checks import FieldDescriptions, Text, require_one_of
from labelflow.scale.task_types.shared.fake_text import fake_fields
from labelflow.scale.task_types.shared.params import AttachmentParams
from labelflow.scale.task_types.shared.responses import TaskResponse, struct_type
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType


class TranscriptionParams(AttachmentParams):
    """`fields` occur once in the document, `repeatable_fields` once per line; at least one of them is given."""

    required = (("instruction",), ("attachment_type",), ("attachment",), ("fields", "repeatable_fields"))
    instruction: Text | None = None
    attachment_type: Literal["image", "pdf", "website"] | None = None
    fields: FieldDescriptions | None = None
    repeatable_fields: FieldDescriptions | None = None


class TranscriptionResponse(TaskResponse):
    """The text by the keys of `fields` and `repeatable_fields`."""

    fields: dict[str, str | None] | None = None
    repeatable_fields: list[dict[str, str | None]] | None = None

    @model_validator(mode="after")
    def _check_answered(self) -> TranscriptionResponse:
        require_one_of(self, "fields", "repeatable_fields")
        return self


def _columns(params: Params) -> Columns:
    columns = []
    if params.get("fields"):
        columns.append(pa.field("fields", struct_type(params["fields"])))
    if params.get("repeatable_fields"):
        columns.append(pa.field("repeatable_fields", pa.list_(struct_type(params["repeatable_fields"]))))
    return columns


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    response: ResponseData = {}
    if params.get("fields"):
        response["fields"] = fake_fields(params["fields"], rng)
    if params.get("repeatable_fields"):
        lines = rng.randint(1, 4)
        response["repeatable_fields"] = [fake_fields(params["repeatable_fields"], rng) for _ in range(lines)]
    return response


TYPE = TaskType("transcription", TranscriptionParams, TranscriptionResponse, _columns, _fake_response)
