"""Parameters: the base classes of what a task type takes, and what every type takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from labelflow.problems import one_line, validation_error
from labelflow.scale.models import Urgency
from labelflow.scale.task_types.shared.attachment_fields import (
    ANY_ATTACHMENTS,
    ATTACHMENT,
    CONTEXT,
    AttachmentField,
)
from labelflow.scale.task_types.shared.checks import (
    Text,
    Url,
    check_attachment,
    check_callback_url,
    check_metadata,
    check_tags,
)

Alternatives = tuple[str, ...]  # parameters of which one is enough


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

    attachment: Url


class TaskParams(BaseModel):
    """Parameters of a task. Unknown keys are kept, because the server may support them.

    attachment_fields: which of the parameters are attachments.
    required: the parameters that a task, or its project, must have: one of each group of alternatives.
    """

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)
    attachment_fields: ClassVar[tuple[AttachmentField, ...]] = ANY_ATTACHMENTS
    required: ClassVar[tuple[Alternatives, ...]] = ()

    priority: int | None = None
    context_attachments: list[ContextAttachment] | None = None
    hypothesis: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_context(self) -> Self:
        labeled = getattr(self, "attachment", None)
        if labeled is not None and any(context.attachment == labeled for context in self.context_attachments or []):
            raise validation_error(
                "`context_attachments` contains the `attachment` that is labeled", "remove it from the context"
            )
        return self


class AttachmentParams(TaskParams):
    """Parameters of a type with one attachment: a URL, or a text with `attachment_type` `text` (2017 API)."""

    attachment_fields = (ATTACHMENT, CONTEXT)
    attachment_type: str | None = None
    attachment: Text | None = None

    @field_validator("attachment")
    @classmethod
    def _check_attachment(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else check_attachment(value, info)


class CommonParams(BaseModel):
    """Parameters that every type accepts. Source: 2017 API, "Creating"; current API."""

    model_config = ConfigDict(extra="ignore", use_enum_values=True)

    callback_url: Annotated[str, AfterValidator(check_callback_url)] | None = None
    urgency: Urgency = Urgency.DAY
    metadata: Annotated[dict[str, Any], AfterValidator(check_metadata)] = {}
    unique_id: str | None = Field(default=None, min_length=1)
    clear_unique_id_on_error: bool = False
    project: str | None = None
    batch: str | None = None
    tags: Annotated[list[str], AfterValidator(check_tags)] | None = None


def similar_key(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that a key is probably a misspelling of, None if it is probably another parameter."""
    return next(iter(difflib.get_close_matches(key, list(known), n=1, cutoff=0.8)), None)


def missing_error(names: Alternatives) -> InitErrorDetails:
    """Return the error of a required parameter that is missing; of several, one is enough."""
    if len(names) == 1:
        return InitErrorDetails(type="missing", loc=names, input={})
    options = " or ".join(f"`{name}`" for name in names)
    error = validation_error(f"none of {options} was given", f"give at least one of {options}")
    return InitErrorDetails(type=error, loc=(), input={})


def unknown_keys(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the parameters that no model describes, such as `geometries.box.color`."""
    if isinstance(value, BaseModel):
        for key, item in value:
            if key in (value.model_extra or {}):
                yield f"{path}{key}"
            else:
                yield from unknown_keys(item, f"{path}{key}.")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from unknown_keys(item, f"{path}{key}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_keys(item, f"{path.removesuffix('.')}[{index}].")
