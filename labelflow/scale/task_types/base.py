"""What every task type has, and the pieces that several of them share."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from labelflow.media import Media
from labelflow.problems import abbreviate, validation_error
from labelflow.scale.models import Urgency

Params = Mapping[str, Any]
ResponseData = dict[str, Any]
Columns: TypeAlias = "list[pa.Field[Any]]"


@dataclass(frozen=True, slots=True)
class TaskType:
    """One kind of task: all that the client, the pipeline and the sandbox know of it.

    params: the type's own parameters, checked against the contract's limits.
    response: the shape that the contract promises for a completed task.
    columns: the Arrow fields that a response fills, for a task's parameters (templates not yet filled in).
    imagine: makes up a plausible response, the same for the same random state.
    """

    name: str
    params: type[TaskParams]
    response: type[TaskResponse]
    columns: Callable[[Params], Columns]
    fake_response: Callable[[Params, list[Media], random.Random], ResponseData]


class TaskParams(BaseModel):
    """Parameters of a task. Keys that the contract does not know are kept: the server may know them."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    def attachment_values(self) -> list[tuple[str, str]]:
        """The attachments as (field, value): URLs, or the text itself where that is what is labeled."""
        single, many = getattr(self, "attachment", None), getattr(self, "attachments", None)
        if single is not None:
            return [("attachment", single)]
        return [(f"attachments[{i}]", value) for i, value in enumerate(many or []) if isinstance(value, str)]


class TaskResponse(BaseModel):
    """A response as promised. What it carries beyond the promise is kept in the whole response only."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class CommonParams(BaseModel):
    """What any task may be created with, whatever its type. Source: contract A "Creating", contract B."""

    model_config = ConfigDict(extra="ignore", use_enum_values=True)

    callback_url: Annotated[str, AfterValidator(lambda url: _check_callback_url(url))] | None = None
    urgency: Urgency = Urgency.DAY
    metadata: dict[str, Any] = {}
    unique_id: str | None = Field(default=None, min_length=1)
    clear_unique_id_on_error: bool = False
    project: str | None = None
    batch: str | None = None
    tags: list[str] | None = None


def _check_text(value: str) -> str:
    if not value.strip():
        raise validation_error("is empty", "give it a text")
    return value


_SIMPLE_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/[!-~]*")  # nearly all of them
_SPACE = re.compile(r"\s")


def check_url(value: str) -> str:
    """A URL that the service can fetch itself: http or https, with a host, nothing to be escaped in it."""
    if _SIMPLE_URL.fullmatch(value):
        return value
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme.lower() not in ("http", "https") or not host:
        found = f"has the scheme {url.scheme}://" if "://" in value else f"was {abbreviate(value)}, which is no URL"
        raise validation_error(found, "use a URL that starts with http:// or https://")
    if _SPACE.search(value):
        raise validation_error("has white space in its URL", "percent-encode it (a space is %20)")
    return value


_EMAIL = re.compile(r"[^@\s:/]+@[^@\s:/]+\.[^@\s:/]+")


def _check_callback_url(value: str) -> str:
    if _EMAIL.fullmatch(value):
        return value
    try:
        return check_url(value)
    except ValueError:
        raise validation_error(
            f"was {abbreviate(value)}", "use a full URL with its scheme (https://…), or an e-mail address"
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


def max_items(limit: int, what: str) -> AfterValidator:
    """Refuses a longer list. The limits per type stand in contract A "Creating"."""

    def check(values: list[str]) -> list[str]:
        if len(values) > limit:
            raise validation_error(f"has {len(values)} {what}", f"give at most {limit}, or split the job in two")
        return values

    return AfterValidator(check)


class AttachmentParams(TaskParams):
    """A type with one attachment: a URL, except where `attachment_type` is `text` (contract A)."""

    attachment_type: str
    attachment: Text

    @field_validator("attachment")
    @classmethod
    def _check_attachment(cls, value: str, info: ValidationInfo) -> str:
        return check_attachment(value, info)


def check_attachment(value: str, info: ValidationInfo) -> str:
    """A URL, unless `attachment_type` (a field declared before) says that it is the text itself."""
    return value if info.data.get("attachment_type", "text") == "text" else check_url(value)


def require_one_of(model: BaseModel, *fields: str) -> None:
    """Refuse a model none of whose fields was given."""
    if all(getattr(model, field) is None for field in fields):
        names = " or ".join(f"`{field}`" for field in fields)
        raise validation_error(f"none of {names} was given", f"give at least one of {names}")


def struct_type(fields: object) -> pa.DataType:
    """The Arrow type of answers to `fields`: a struct of the job's own keys.

    Where the keys come from the manifest they differ row by row: then a map of text to text.
    """
    if isinstance(fields, Mapping) and fields:
        return pa.struct([pa.field(str(key), pa.string()) for key in fields])
    return pa.map_(pa.string(), pa.string())
