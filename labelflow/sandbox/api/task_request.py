"""From a request's parameters to a task that can be kept. Source: contract A "Creating", contract B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from labelflow.problems import problems
from labelflow.sandbox.errors import ApiError
from labelflow.sandbox.settings.options import Options
from labelflow.scale.task_types import CommonParams, task_type

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A checked request for a task; `params`, `metadata` and `tags` are JSON.

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
    """Check a creation. Raises Refused (400) that names each wrong parameter."""
    api_version = options.api_version
    common = {key: value for key, value in request_params.items() if key in api_version.common_params}
    type_params = {
        key: value
        for key, value in request_params.items()
        if key not in common and key not in api_version.ignored_params
    }
    checked = _validate(CommonParams, common)
    callback_url = checked.callback_url or options.default_callback
    if callback_url is None:
        raise ApiError(400, "callback_url: is required and was not given; give `callback_url` a value")
    params = {
        key: value
        for key, value in _validate(task_type(name).params, type_params).model_dump().items()
        if value is not None
    }
    return NewTask(
        type=name,
        instruction=params.pop("instruction", None),
        urgency=checked.urgency,
        callback_url=None if callback_url == options.sink_url else callback_url,
        params=to_json(params),
        metadata=to_json(checked.metadata),
        unique_id=checked.unique_id,
        project=checked.project,
        batch=checked.batch,
        tags=to_json(checked.tags) if checked.tags is not None else None,
        frees_unique_id=checked.clear_unique_id_on_error,
    )


def to_json(value: Any) -> str:
    """A value as JSON text. Raises Refused (400) where it is beyond what JSON is read back from everywhere."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise ApiError(400, f"The parameters cannot be kept: {error}.") from None


def _validate(model: type[Model], params: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(params)
    except ValidationError as error:
        raise ApiError(400, " · ".join(str(one) for one in problems(error))) from None
