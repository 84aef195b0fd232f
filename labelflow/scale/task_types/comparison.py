"""`comparison`: which of several attachments, or how they differ. Source: contract A."""

from __future__ import annotations

import random

import pyarrow as pa
from pydantic import ValidationInfo, field_validator, model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.base import (
    Answer,
    Columns,
    Descriptions,
    Everything,
    Labels,
    Params,
    TaskParams,
    TaskResponse,
    TaskType,
    Text,
    check_attachment,
    require_one_of,
    struct_of,
)
from labelflow.scale.task_types.fake_text import fill_in


class ComparisonParams(TaskParams):
    """Two attachments or more; `choices` to pick from, `fields` to fill in, or both."""

    instruction: Text
    attachment_type: Everything
    attachments: list[Text]
    choices: Labels | None = None
    fields: Descriptions | None = None

    @field_validator("attachments")
    @classmethod
    def _check_attachments(cls, values: list[str], info: ValidationInfo) -> list[str]:
        if len(values) < 2:
            raise validation_error(f"has {len(values)} attachment(s)", "give two or more to compare")
        return [check_attachment(value, info) for value in values]

    @model_validator(mode="after")
    def _asks_something(self) -> ComparisonParams:
        require_one_of(self, "choices", "fields")
        return self


class ComparisonResponse(TaskResponse):
    """The choice, the filled-in fields, or both, as the task asked."""

    choice: str | None = None
    fields: dict[str, str | None] | None = None

    @model_validator(mode="after")
    def _answers_something(self) -> ComparisonResponse:
        require_one_of(self, "choice", "fields")
        return self


def _columns(params: Params) -> Columns:
    columns = [pa.field("choice", pa.string())] if params.get("choices") else []
    return [*columns, pa.field("fields", struct_of(params["fields"]))] if params.get("fields") else columns


def _imagine(params: Params, media: list[Media], rng: random.Random) -> Answer:
    answer: Answer = {}
    if params.get("choices"):
        answer["choice"] = rng.choice(params["choices"])
    if params.get("fields"):
        answer["fields"] = fill_in(params["fields"], rng)
    return answer


TYPE = TaskType("comparison", ComparisonParams, ComparisonResponse, _columns, _imagine)
