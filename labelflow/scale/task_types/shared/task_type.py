"""The interface of a task type."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import FoundAttachment, find_attachments
from labelflow.scale.task_types.shared.files.result_files import ResultFile, find_result_files
from labelflow.scale.task_types.shared.params import Alternatives, TaskParams, missing_error
from labelflow.scale.task_types.shared.responses import TaskResponse

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
        for the same random state. A `FakeFile` in it stands for the URL of a result file.
    result_files: where a response has URLs of result files; see `find_result_files`.
    context: returns what the validators of `response` need of the `params` of a job, as pydantic's context.

        TYPE = TaskType("annotation", AnnotationParams, AnnotationResponse, _columns, _fake_response)
    """

    name: str
    params: type[TaskParams]
    response: type[TaskResponse]
    columns: Callable[[Params], Columns]
    fake_response: Callable[[Params, list[Media], random.Random], ResponseData]
    result_files: tuple[str, ...] = ()
    context: Callable[[Params], Any] = lambda params: None

    def validate(self, params: Params, *, in_project: bool = False) -> TaskParams:
        """Return the checked parameters of a task. Raises ValidationError.

        in_project: whether the task has a project, whose parameters stand in for missing ones.
        """
        errors = [] if in_project else [missing_error(names) for names in self.missing(params)]
        try:
            model = self.params.model_validate(params)
        except ValidationError as error:
            errors += map(_initial, error.errors(include_url=False))
        if errors:
            raise ValidationError.from_exception_data(self.name, errors)
        return model

    def missing(self, params: Params, project_params: Params | None = None) -> list[Alternatives]:
        """Return the required parameters that neither a task nor its project has. Of alternatives, one is enough.

        >>> task_type("comparison").missing({"attachments": [], "instruction": "?"}, {"attachment_type": "image"})
        [('choices', 'fields')]
        """
        given = {**(project_params or {}), **{key: value for key, value in params.items() if value is not None}}
        return [names for names in self.params.required if all(given.get(name) is None for name in names)]

    def find_attachments(self, params: Params) -> list[FoundAttachment]:
        """Return the attachments in the parameters of a task, which need not be valid."""
        field = self.params.model_fields.get("attachment_type")
        default = field.default if field and isinstance(field.default, str) else None
        return find_attachments(params, self.params.attachment_fields, default)

    def find_result_files(self, response: Any) -> list[ResultFile]:
        """Return the result files in a response, after `decode_response`."""
        return find_result_files(response, self.result_files)


def _initial(detail: ErrorDetails) -> InitErrorDetails:
    """Return an error in the form that a new ValidationError takes."""
    kind = PydanticCustomError(detail["type"], detail["msg"], detail.get("ctx"))
    return InitErrorDetails(type=kind, loc=detail["loc"], input=detail["input"])
