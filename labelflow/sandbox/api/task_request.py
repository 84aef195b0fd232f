"""Validation of `POST /task/{type}`. Source: 2017 API, "Creating"; current API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from labelflow.problems import problems
from labelflow.sandbox.errors import ApiError
from labelflow.sandbox.settings.options import Options
from labelflow.scale.task_types import CommonParams, task_type
from labelflow.scale.task_types.shared.checks import check_url

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A validated request for a task; `params`, `metadata` and `tags` are JSON.

    callback_url: None for the sandbox's own sink. frees_unique_id: whether an error frees `unique_id`.
    """

    type: str
    instruction: str | None
    urgency: str
    callback_url: str | None
    params: str
    metadata: str
    unique_id: str | None
    project: str | None
    batch: str | None
    tags: str | None
    frees_unique_id: bool


def parse_new_task(name: str, request_params: Mapping[str, Any], options: Options) -> NewTask:
    """Validate the parameters of a new task. Raises ApiError (400) that names each invalid parameter.

    name: the task type.
    """
    api_version = options.api_version
    common = {key: value for key, value in request_params.items() if key in api_version.common_params}
    type_params = {
        key: value
        for key, value in request_params.items()
        if key not in common and key not in api_version.ignored_params
    }
    validated = _validated(CommonParams.model_validate, common)
    callback_url = validated.callback_url or options.default_callback
    if callback_url is None:
        raise ApiError(400, "callback_url: is required; use a URL that starts with http:// or https://")
    model = _validated(partial(task_type(name).validate, in_project=bool(validated.project)), type_params)
    params = model.model_dump(exclude_none=True)
    if not api_version.has_additions:
        _check_attachments(name, params)
    return NewTask(
        type=name,
        instruction=params.pop("instruction", None),
        urgency=validated.urgency,
        callback_url=None if callback_url == options.sink_url else callback_url,
        params=to_json(params),
        metadata=to_json(validated.metadata),
        unique_id=validated.unique_id,
        project=validated.project,
        batch=validated.batch,
        tags=to_json(validated.tags) if validated.tags is not None else None,
        frees_unique_id=validated.clear_unique_id_on_error,
    )


def _check_attachments(name: str, params: dict[str, Any]) -> None:
    """Raise ApiError (400) for an attachment that is not an http or https URL (2017 API)."""
    for found in task_type(name).find_attachments(params):
        try:
            if found.kind != "text":
                check_url(found.value)
        except ValueError as error:
            raise ApiError(400, f"{found.field}: {error}") from None


def to_json(value: Any) -> str:
    """Serialize a value. Raises ApiError (400) if JSON cannot represent it, such as a number over 64 bits."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise ApiError(400, f"The parameters cannot be stored as JSON: {error}.") from None


def _validated(validate: Callable[[Mapping[str, Any]], Model], params: Mapping[str, Any]) -> Model:
    try:
        return validate(params)
    except ValidationError as error:
        raise ApiError(400, " · ".join(str(problem) for problem in problems(error))) from None
