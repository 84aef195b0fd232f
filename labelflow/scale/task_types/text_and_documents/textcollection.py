"""`textcollection`: a form about texts, recordings, images or pages. Source: current API."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Self

import pyarrow as pa
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from labelflow.media import Media
from labelflow.problems import abbreviate, validation_error
from labelflow.scale.task_types.shared.attachment_fields import CONTENTS, CONTEXT
from labelflow.scale.task_types.shared.checks import AnyAttachmentType, Text, check_attachment_url, not_empty
from labelflow.scale.task_types.shared.fake_text import fake_words
from labelflow.scale.task_types.shared.params import NestedParams, TaskParams, similar_key
from labelflow.scale.task_types.shared.responses import CurrentResponse, struct_type
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType

CATEGORY, TEXT, NUMBER, BOOLEAN, DATE, RANKING = "category", "text", "number", "boolean", "date", "ranking"
KNOWN_KINDS = (CATEGORY, TEXT, NUMBER, BOOLEAN, DATE, RANKING)
_ARROW_TYPES = {
    CATEGORY: pa.list_(pa.string()),
    RANKING: pa.list_(pa.string()),
    NUMBER: pa.float64(),
    BOOLEAN: pa.bool_(),
}


class Content(NestedParams):
    """What the form is about. content: a URL, or the text itself if `type` is `text`. forms: fields that it is for."""

    type: AnyAttachmentType
    content: Text
    forms: list[str] | None = None

    @field_validator("content")
    @classmethod
    def _check_content(cls, value: str, info: ValidationInfo) -> str:
        return value if info.data.get("type", TEXT) == TEXT else check_attachment_url(value)


class Choice(NestedParams):
    """A choice. label: what annotators read. value: what the answer has."""

    label: str | None = None
    value: str | int | float | bool


class FormField(NestedParams):
    """A question of the form. type: one of KNOWN_KINDS, or another that Scale knows."""

    field_id: Text
    type: Text
    title: str | None = None
    description: str | None = None
    required: bool | None = None
    choices: Annotated[list[Choice], not_empty("one choice")] | None = None
    min_choices: Annotated[int, Field(ge=0)] | None = None
    max_choices: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.type not in KNOWN_KINDS and (known := similar_key(self.type, KNOWN_KINDS)):
            raise validation_error(f"has the type {abbreviate(self.type)}", f"did you mean `{known}`?")
        if self.type == CATEGORY and self.choices is None:
            raise validation_error("is a category without `choices`", "give the `choices`, or another `type`")
        if self.min_choices and self.max_choices and self.min_choices > self.max_choices:
            reason = f"has min_choices {self.min_choices} and max_choices {self.max_choices}"
            raise validation_error(reason, "use a `min_choices` that is not larger than `max_choices`")
        return self


def _check_ids(fields: list[FormField]) -> list[FormField]:
    ids = [field.field_id for field in fields]
    for field_id in ids:
        if ids.count(field_id) > 1:
            raise validation_error(
                f"has the field_id {abbreviate(field_id)} twice", "give each field its own `field_id`"
            )
    return fields


class TextCollectionParams(TaskParams):
    """The contents, and the fields of the form. responses_required: number of annotators who fill in the form."""

    attachment_fields = (CONTENTS, CONTEXT)
    required = (("attachments",), ("fields",))
    instruction: str | None = None
    title: str | None = None
    description: str | None = None
    attachments: Annotated[list[Content], not_empty("one attachment")] | None = None
    fields: Annotated[list[FormField], not_empty("one field"), AfterValidator(_check_ids)] | None = None
    responses_required: Annotated[int, Field(ge=1)] | None = None


class TextCollectionResponse(CurrentResponse):
    """The answers by `field_id`: each that of one annotator, or a list with that of each if several are required."""

    annotations: dict[str, Any]

    @field_validator("annotations", mode="before")
    @classmethod
    def _by_field(cls, value: Any) -> Any:
        """Return a list of answers that name their field as an object by field."""
        is_list = isinstance(value, list) and value and all(_has_field(answer) for answer in value)
        return {str(answer["field_id"]): answer for answer in value} if is_list else value

    @field_validator("annotations")
    @classmethod
    def _flatten(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Remove the levels around the answers. info.context: whether several annotators answer."""
        answers = {field_id: _answers(answer) for field_id, answer in value.items()}
        return answers if info.context else {field_id: _only(answer) for field_id, answer in answers.items()}


def _has_field(answer: Any) -> bool:
    return isinstance(answer, Mapping) and "field_id" in answer


def _answers(answer: Any) -> list[Any]:
    """Return the answers to a field, from `{"response": [[value, …], …]}`, `[value, …]` or a single value."""
    response = answer["response"] if isinstance(answer, Mapping) and "response" in answer else answer
    return response if isinstance(response, list) else [response]


def _only(answers: list[Any]) -> Any:
    """Return the answer of the only annotator; several values without a level for annotators are one answer."""
    return answers[0] if len(answers) == 1 else answers


def _has_several(params: Params) -> bool:
    """Whether several annotators answer. A number that depends on the row counts as several."""
    required = params.get("responses_required")
    return required is not None and str(required) != "1"


def _columns(params: Params) -> Columns:
    fields, several = params.get("fields"), _has_several(params)
    described = [field for field in fields if _has_field(field)] if isinstance(fields, list) else []
    if not described:
        return [pa.field("annotations", struct_type(None))]
    kinds = [(str(field["field_id"]), _ARROW_TYPES.get(field.get("type"), pa.string())) for field in described]
    types = {name: pa.list_(kind) if several else kind for name, kind in kinds}
    return [pa.field("annotations", pa.struct(list(types.items())))]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    annotators = params.get("responses_required") or 1
    fields: list[Mapping[str, Any]] = params.get("fields") or []
    return {
        "annotations": {
            field["field_id"]: {
                "type": field["type"],
                "field_id": field["field_id"],
                "response": [_fake_answer(field, rng) for _ in range(annotators)],
            }
            for field in fields
        }
    }


def _fake_answer(field: Mapping[str, Any], rng: random.Random) -> list[Any]:
    """Return the values of one annotator."""
    values = [choice["value"] for choice in field.get("choices") or []]
    kind = field["type"]
    if kind == CATEGORY and values:
        least, most = field.get("min_choices") or 1, field.get("max_choices") or 1
        return rng.sample(values, min(len(values), rng.randint(least, max(least, most))))
    if kind == RANKING:
        return rng.sample(values, len(values))
    if kind == NUMBER:
        return [rng.randint(0, 9)]
    if kind == BOOLEAN:
        return [rng.random() < 0.5]
    return [f"2026-03-{rng.randint(1, 28):02}" if kind == DATE else " ".join(fake_words(rng.randint(2, 8), [], rng))]


TYPE = TaskType(
    "textcollection", TextCollectionParams, TextCollectionResponse, _columns, _fake_response, context=_has_several
)
