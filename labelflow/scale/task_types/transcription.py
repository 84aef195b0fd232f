"""`transcription`: what is written on a page (OCR). Source: contract A "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Literal

import pyarrow as pa
from pydantic import model_validator

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
    require_one_of,
    struct_of,
)
from labelflow.scale.task_types.fake_text import fill_in


class TranscriptionParams(WithAttachment):
    """`fields` are on the page once, `repeatable_fields` once a line; at least one of the two."""

    instruction: Text
    attachment_type: Literal["image", "pdf", "website"]
    fields: Descriptions | None = None
    repeatable_fields: Descriptions | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> TranscriptionParams:
        require_one_of(self, "fields", "repeatable_fields")
        return self


class TranscriptionResponse(TaskResponse):
    """What was read, by the job's own keys."""

    fields: dict[str, str | None] | None = None
    repeatable_fields: list[dict[str, str | None]] | None = None

    @model_validator(mode="after")
    def _answers_something(self) -> TranscriptionResponse:
        require_one_of(self, "fields", "repeatable_fields")
        return self


def _columns(params: Params) -> Columns:
    columns = []
    if params.get("fields"):
        columns.append(pa.field("fields", struct_of(params["fields"])))
    if params.get("repeatable_fields"):
        columns.append(pa.field("repeatable_fields", pa.list_(struct_of(params["repeatable_fields"]))))
    return columns


def _imagine(params: Params, media: list[Media], rng: random.Random) -> Answer:
    answer: Answer = {}
    if params.get("fields"):
        answer["fields"] = fill_in(params["fields"], rng)
    if params.get("repeatable_fields"):
        lines = rng.randint(1, 4)
        answer["repeatable_fields"] = [fill_in(params["repeatable_fields"], rng) for _ in range(lines)]
    return answer


TYPE = TaskType("transcription", TranscriptionParams, TranscriptionResponse, _columns, _imagine)
