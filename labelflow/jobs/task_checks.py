"""Check the task of a job before any row is read: its parameters, as far as they do not depend on a row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from labelflow.jobs.templates import compile_template
from labelflow.problems import Problem, abbreviate, problems
from labelflow.scale.task_types import (
    CommonParams,
    TaskType,
    known_types,
    similar_key,
    task_type,
    unknown_keys,
)

_SET_BY_LABELFLOW = {
    "metadata": "list columns under the job's own `metadata`",
    "unique_id": "remove it; it is derived from `name`",
}
_FREES_UNIQUE_ID = "clear_unique_id_on_error"
_ANY_URL = "https://placeholder.invalid/"


def check_task(task: dict[str, Any]) -> list[Problem]:
    """Return the problems of a job's task that do not depend on a row of the manifest."""
    name = task.get("type")
    known = ", ".join(known_types)
    if name is None:
        return [Problem("task.type", "is required and was not given", f"use a Scale task type: {known}")]
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]+", name):
        return [Problem("task.type", f"got {abbreviate(name)}", f"use a Scale task type in lower case: {known}")]
    if name not in known_types and (close := difflib.get_close_matches(name, known_types, n=1, cutoff=0.85)):
        return [Problem("task.type", f"got {abbreviate(name)}", f"did you mean `{close[0]}`?")]
    task_problems = [
        Problem(f"task.{key}", "is set by the job itself", fix) for key, fix in _SET_BY_LABELFLOW.items() if key in task
    ]
    task_problems += unique_id_problems(task)
    params = {key: value for key, value in task.items() if key not in ("type", _FREES_UNIQUE_ID, *_SET_BY_LABELFLOW)}
    common = {key: params[key] for key in CommonParams.model_fields if key in params}
    own = {key: value for key, value in params.items() if key not in common}
    kind = task_type(name)
    task_problems += [
        Problem(f"task.{key}", "is not a known key", f"did you mean `{similar}`?")
        for key in own
        if key not in kind.params.model_fields and (similar := _meant_parameter(key, kind, params))
    ]
    validate = partial(kind.validate, in_project="project" in common)
    own_problems = [_with_allowed_values(problem, kind.params) for problem in _model_problems(validate, own)]
    return [*task_problems, *_model_problems(CommonParams.model_validate, common), *own_problems]


def _meant_parameter(key: str, kind: TaskType, params: dict[str, Any]) -> str | None:
    """Return the parameter that an unknown key probably stands for: a missing one need not be as similar."""
    if similar := similar_key(key, [*kind.params.model_fields, *CommonParams.model_fields]):
        return similar
    missing = [name for names in kind.missing(params) for name in names]
    return next(iter(difflib.get_close_matches(key, missing, n=1)), None)


def _with_allowed_values(problem: Problem, params: type[BaseModel]) -> Problem:
    """Name the allowed values of a required parameter that is missing, if there are only some."""
    field = params.model_fields.get(problem.field.removeprefix("task."))
    kinds = [field.annotation, *get_args(field.annotation)] if field else []
    values = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())
    if not values or not problem.reason.startswith("is required"):
        return problem
    return replace(problem, fix=f"use one of {', '.join(map(str, values))}")


def unknown_params(task: dict[str, Any]) -> list[str]:
    """Return the parameters of a task that its type does not describe. They are sent as they are, unchecked."""
    if task["type"] not in known_types:
        return []
    set_elsewhere = {"type", *_SET_BY_LABELFLOW, *CommonParams.model_fields}
    own = {key: _stand_in(value) for key, value in task.items() if key not in set_elsewhere}
    model = task_type(task["type"]).params
    try:
        return list(unknown_keys(model.model_validate(own)))
    except ValidationError:  # reported elsewhere, or a value that depends on the row
        return [key for key in own if key not in model.model_fields]


def unique_id_problems(task: dict[str, Any]) -> list[Problem]:
    """Return a problem if the API would free the `unique_id` of a task that ends in an error.

    A request that is repeated after a lost response would then create a second task.
    """
    if task.get(_FREES_UNIQUE_ID, False) is False:
        return []
    reason = "would free the unique_id of a task that ends in an error, so that its row could be paid twice"
    fix = "remove it; to label such rows again, run with --relabel errors"
    return [Problem(f"task.{_FREES_UNIQUE_ID}", reason, fix)]


def _model_problems(validate: Callable[[dict[str, Any]], Any], values: dict[str, Any]) -> list[Problem]:
    try:
        validate({key: _stand_in(value) for key, value in values.items()})
    except ValidationError as error:
        filled_in = list(_template_paths(values))
        return [
            replace(problem, field=f"task.{problem.field}" if problem.field else "task")
            for problem in problems(error)
            if not _depends_on(problem, filled_in)
        ]
    return []


def _template_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the values with columns to fill in, written as in the field of a Problem."""
    if isinstance(value, str) and compile_template(value).columns:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _template_paths(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _template_paths(item, f"{path}[{index}]")


def _depends_on(problem: Problem, paths: list[str]) -> bool:
    """Whether a problem is about one of these values, or an object with one. One about several keys names them."""
    if not problem.field:
        return any(f"`{re.split(r'[.[]', path)[0]}`" in problem.reason for path in paths)
    return any(_contains(problem.field, path) or _contains(path, problem.field) for path in paths)


def _contains(path: str, other: str) -> bool:
    return other == path or other.startswith((f"{path}.", f"{path}["))


def _stand_in(value: Any) -> Any:
    """Return a valid value in place of one with columns to fill in, as far as it can be known."""
    if isinstance(value, str) and compile_template(value).columns:
        return _ANY_URL
    if isinstance(value, dict):
        return {key: _stand_in(item) for key, item in value.items()}
    return [_stand_in(item) for item in value] if isinstance(value, list) else value
