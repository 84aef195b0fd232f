"""`comparison`: a choice between several attachments, or their differences. Source: 2017 API."""

from __future__ import annotations

import random

import pyarrow as pa
from pydantic import ValidationInfo, field_validator, model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.attachment_fields import ATTACHMENTS, CONTEXT
from labelflow.scale.task_types.shared.base import (
    AnyAttachmentType,
    Columns,
    FieldDescriptions,
    Labels,
    Params,
    ResponseData,
    TaskParams,
    TaskResponse,
    TaskType,
    Text,
    check_attachment,
    require_one_of,
    struct_type,
)
from labelflow.scale.task_types.shared.fake_text import fake_fields


class ComparisonParams(TaskParams):
    """Two or more attachments; `choices` to pick from, `fields` to fill in, or both."""

    attachment_fields = (ATTACHMENTS, CONTEXT)
    instruction: Text
    attachment_type: AnyAttachmentType
    attachments: list[Text]
    choices: Labels | None = None
    fields: FieldDescriptions | None = None

    @field_validator("attachments")
    @classmethod
    def _check_attachments(cls, values: list[str], info: ValidationInfo) -> list[str]:
        if len(values) < 2:
            raise validation_error(f"has {len(values)} attachment(s)", "give two or more to compare")
        return [check_attachment(value, info) for value in values]

    @model_validator(mode="after")
    def _check_requested(self) -> ComparisonParams:
        require_one_of(self, "choices", "fields")
        return self


class ComparisonResponse(TaskResponse):
    """The choice, the filled-in fields, or both, as the task requests."""

    choice: str | None = None
    fields: dict[str, str | None] | None = None

    @model_validator(mode="after")
    def _check_answered(self) -> ComparisonResponse:
        require_one_of(self, "choice", "fields")
        return self


def _columns(params: Params) -> Columns:
    columns = [pa.field("choice", pa.string())] if params.get("choices") else []
    return [*columns, pa.field("fields", struct_type(params["fields"]))] if params.get("fields") else columns


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    response: ResponseData = {}
    if params.get("choices"):
        response["choice"] = rng.choice(params["choices"])
    if params.get("fields"):
        response["fields"] = fake_fields(params["fields"], rng)
    return response


TYPE = TaskType("comparison", ComparisonParams, ComparisonResponse, _columns, _fake_response)
