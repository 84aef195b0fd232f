"""The interface of a task type, and checks that several types share."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from labelflow.lenient_json import dump_json
from labelflow.media import Media
from labelflow.problems import abbreviate, one_line, validation_error
from labelflow.scale.models import MAX_METADATA_BYTES, MAX_TAGS, Urgency
from labelflow.scale.task_types.shared.attachment_fields import (
    ANY_ATTACHMENTS,
    ATTACHMENT,
    CONTEXT,
    AttachmentField,
    FoundAttachment,
    find_attachments,
)

Params = Mapping[str, Any]
ResponseData = dict[str, Any]
Columns: TypeAlias = "list[pa.Field[Any]]"


@dataclass(frozen=True, slots=True)
class TaskType:
    """A task type: its parameters, its response, its Arrow columns.

    name: as in the path `POST /task/{name}`.
    params: the model of the type's own parameters; checks the limits of the API.
    response: the model of a completed task's response.
    columns: returns the Arrow fields of the response. Its argument is the `params` of a job: values may still be
        templates.
    fake_response: returns a plausible response, for checked parameters and the media of the attachments; the same
        for the same random state.

        TYPE = TaskType("annotation", AnnotationParams, AnnotationResponse, _columns, _fake_response)
    """

    name: str
    params: type[TaskParams]
    response: type[TaskResponse]
    columns: Callable[[Params], Columns]
    fake_response: Callable[[Params, list[Media], random.Random], ResponseData]

    def validate(self, params: Mapping[str, Any], *, in_project: bool = False) -> TaskParams:
        """Return the checked parameters of a task. Raises ValidationError.

        in_project: whether the task has a project, whose parameters stand in for required ones.
        """
        model = self.params.model_validate(params)
        missing = [] if in_project else model.missing()
        if missing:
            raise ValidationError.from_exception_data(self.name, missing)
        return model

    def find_attachments(self, params: Params) -> list[FoundAttachment]:
        """Return the attachments in the parameters of a task, which need not be valid."""
        field = self.params.model_fields.get("attachment_type")
        default = field.default if field and isinstance(field.default, str) else None
        return find_attachments(params, self.params.attachment_fields, default)


class NestedParams(BaseModel):
    """An object inside the parameters. Unknown keys are kept, unless they look like a misspelled known one."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    @model_validator(mode="after")
    def _check_spelling(self) -> Self:
        for key in self.model_extra or {}:
            if known := similar_key(key, type(self).model_fields):
                raise validation_error(f"has the unknown key `{one_line(key)}`", f"did you mean `{known}`?")
        return self


class ContextAttachment(NestedParams):
    """An attachment that annotators see and do not label."""

    attachment: Annotated[str, AfterValidator(lambda url: check_url(url))]


class TaskParams(BaseModel):
    """Parameters of a task. Unknown keys are kept, because the server may support them.

    attachment_fields: which of the parameters are attachments.
    required: parameters of which a task, or its project, must have one each; without those that the model requires.
    """

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)
    attachment_fields: ClassVar[tuple[AttachmentField, ...]] = ANY_ATTACHMENTS
    required: ClassVar[tuple[tuple[str, ...], ...]] = ()

    priority: int | None = None
    context_attachments: list[ContextAttachment] | None = None
    hypothesis: dict[str, Any] | None = None

    def missing(self) -> list[InitErrorDetails]:
        """Return an error for each required parameter that the task does not have."""
        return [_missing(names) for names in self.required if all(getattr(self, name, None) is None for name in names)]

    @model_validator(mode="after")
    def _check_context(self) -> Self:
        labeled = getattr(self, "attachment", None)
        if labeled is not None and any(context.attachment == labeled for context in self.context_attachments or []):
            raise validation_error(
                "`context_attachments` contains the `attachment` that is labeled", "remove it from the context"
            )
        return self


class TaskResponse(BaseModel):
    """A response in its documented format. Further keys are ignored here; the task's `raw` has them."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class CommonParams(BaseModel):
    """Parameters that every type accepts. Source: 2017 API, "Creating"; current API."""

    model_config = ConfigDict(extra="ignore", use_enum_values=True)

    callback_url: Annotated[str, AfterValidator(lambda url: _check_callback_url(url))] | None = None
    urgency: Urgency = Urgency.DAY
    metadata: Annotated[dict[str, Any], AfterValidator(lambda metadata: check_metadata(metadata))] = {}
    unique_id: str | None = Field(default=None, min_length=1)
    clear_unique_id_on_error: bool = False
    project: str | None = None
    batch: str | None = None
    tags: Annotated[list[str], AfterValidator(lambda tags: _check_tags(tags))] | None = None


def similar_key(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that a key is probably a misspelling of, None if it is probably another parameter."""
    return next(iter(difflib.get_close_matches(key, list(known), n=1, cutoff=0.8)), None)


def check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata unchanged. Raises PydanticCustomError if its JSON has more than MAX_METADATA_BYTES."""
    size = len(dump_json(metadata))
    if size > MAX_METADATA_BYTES:
        raise validation_error(
            f"is {size:,} bytes of JSON", f"Scale takes at most {MAX_METADATA_BYTES:,}; leave out long values"
        )
    return metadata


def _check_tags(tags: list[str]) -> list[str]:
    if len(tags) > MAX_TAGS:
        raise validation_error(f"has {len(tags)} tags", f"give at most {MAX_TAGS}")
    return tags


def _missing(names: tuple[str, ...]) -> InitErrorDetails:
    if len(names) == 1:
        return InitErrorDetails(type="missing", loc=names, input={})
    options = " or ".join(f"`{name}`" for name in names)
    error = validation_error(f"none of {options} was given", f"give one of {options}")
    return InitErrorDetails(type=error, loc=(), input={})


def _check_text(value: str) -> str:
    if not value.strip():
        raise validation_error("is empty", "use a non-empty string")
    return value


_SIMPLE_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/[!-~]*")  # fast path for almost all URLs
_SPACE = re.compile(r"\s")


def check_url(value: str) -> str:
    """Return an http or https URL unchanged. Raises PydanticCustomError if it has no host or contains white space."""
    if _SIMPLE_URL.fullmatch(value):
        return value
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme.lower() not in ("http", "https") or not host:
        reason = f"has the scheme {url.scheme}://" if "://" in value else f"got {abbreviate(value)}, not a valid URL"
        raise validation_error(reason, "use a URL that starts with http:// or https://")
    if _SPACE.search(value):
        raise validation_error("contains white space", "percent-encode it (a space is %20)")
    return value


_EMAIL = re.compile(r"[^@\s:/]+@[^@\s:/]+\.[^@\s:/]+")


def _check_callback_url(value: str) -> str:
    if _EMAIL.fullmatch(value):
        return value
    try:
        return check_url(value)
    except ValueError:
        raise validation_error(
            f"got {abbreviate(value)}", "use a URL that starts with http:// or https://, or an e-mail address"
        ) from None


Text = Annotated[str, AfterValidator(_check_text)]
Url = Annotated[str, AfterValidator(check_url)]
FieldDescriptions = Annotated[dict[str, str], AfterValidator(lambda fields: _check_not_empty(fields, "one key"))]
Labels = Annotated[list[Text], AfterValidator(lambda labels: _check_not_empty(labels, "one label"))]
AnyAttachmentType = Literal["text", "image", "video", "audio", "website", "pdf"]


def _check_not_empty(value: Any, minimum: str) -> Any:
    if not value:
        raise validation_error("is empty", f"give at least {minimum}")
    return value


def max_items(limit: int, noun: str) -> AfterValidator:
    """Return a validator that rejects longer lists. Source of the limits: 2017 API, "Creating".

    noun: what the items are, for the message.
    """

    def check(values: list[str]) -> list[str]:
        if len(values) > limit:
            raise validation_error(f"has {len(values)} {noun}", f"give at most {limit}, or split the job in two")
        return values

    return AfterValidator(check)


class AttachmentParams(TaskParams):
    """Parameters of a type with one attachment: a URL, or a text with `attachment_type` `text` (2017 API)."""

    attachment_fields = (ATTACHMENT, CONTEXT)
    attachment_type: str
    attachment: Text

    @field_validator("attachment")
    @classmethod
    def _check_attachment(cls, value: str, info: ValidationInfo) -> str:
        return check_attachment(value, info)


def check_attachment(value: str, info: ValidationInfo) -> str:
    """Return an attachment unchanged; check it as a URL unless `attachment_type` is `text`.

    `attachment_type` must be declared before the attachment: pydantic validates fields in order.
    """
    return value if info.data.get("attachment_type", "text") == "text" else check_url(value)


def require_one_of(model: BaseModel, *fields: str) -> None:
    """Raise PydanticCustomError if all of the fields are None."""
    if all(getattr(model, field) is None for field in fields):
        names = " or ".join(f"`{field}`" for field in fields)
        raise validation_error(f"none of {names} was given", f"give at least one of {names}")


def struct_type(fields: object) -> pa.DataType:
    """Return the Arrow type of the response to `fields`: a struct of strings with the same keys.

    fields: the value in the job. If it is a template its keys differ by row: then a map of strings to strings.
    """
    if isinstance(fields, Mapping) and fields:
        return pa.struct([pa.field(str(key), pa.string()) for key in fields])
    return pa.map_(pa.string(), pa.string())
