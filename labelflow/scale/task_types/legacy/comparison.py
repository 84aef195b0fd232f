"""`comparison`: a choice between several attachments, or their differences. Source: 2017 API."""

from __future__ import annotations

import random

import pyarrow as pa
from pydantic import ValidationInfo, field_validator, model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.attachment_fields import ATTACHMENTS, CONTEXT
from labelflow.scale.task_types.shared.checks import (
    AnyAttachmentType,
    FieldDescriptions,
    Labels,
    Text,
    check_attachment,
    require_one_of,
)
from labelflow.scale.task_types.shared.fake_text import fake_fields
from labelflow.scale.task_types.shared.params import TaskParams
from labelflow.scale.task_types.shared.responses import TaskResponse, struct_type
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType


class ComparisonParams(TaskParams):
    """Two or more attachments; `choices` to pick from, `fields` to fill in, or both."""

    attachment_fields = (ATTACHMENTS, CONTEXT)
    required = (("instruction",), ("attachment_type",), ("attachments",), ("choices", "fields"))
    instruction: Text | None = None
    attachment_type: AnyAttachmentType | None = None
    attachments: list[Text] | None = None
    choices: Labels | None = None
    fields: FieldDescriptions | None = None

    @field_validator("attachments")
    @classmethod
    def _check_attachments(cls, values: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if values is None:
            return None
        if len(values) < 2:
            raise validation_error(f"has {len(values)} attachment(s)", "give two or more to compare")
        return [check_attachment(value, info) for value in values]


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
