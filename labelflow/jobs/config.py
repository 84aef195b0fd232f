"""Read a job's config file, and report all its problems at once."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from labelflow.errors import InvalidInput
from labelflow.jobs.credentials.dotenv import API_URL_VARIABLE
from labelflow.jobs.job import Job, ScaleSection
from labelflow.jobs.scalars_as_text import field_types, resolve_scalars
from labelflow.jobs.templates import compile_template
from labelflow.jobs.yaml_file import read_yaml
from labelflow.problems import Problem, abbreviate, one_line, problems
from labelflow.scale.models import LIVE_URL
from labelflow.scale.task_types import CommonParams, known_types, signed_stand_in, similar_key, task_type, unknown_keys

_SET_BY_LABELFLOW = {
    "metadata": "list columns under the job's own `metadata`",
    "unique_id": "remove it; it is derived from `name`",
}
_FREES_UNIQUE_ID = "clear_unique_id_on_error"
_ANY_URL = "https://placeholder.invalid/"
MAX_PROBLEMS = 20  # in one message

log = logging.getLogger(__name__)


def load_job(path: str, *, manifest: str | None = None, output: str | None = None) -> Job:
    """Return the job in a YAML file.

    Args:
        path: The file.
        manifest: Overrides `manifest.uri` of the file, which becomes `manifest.rejects_of` unless that is set.
        output: Overrides `output` of the file.

    Without a `scale.url` in the file, SCALE_API_URL in the environment is used. Raises InvalidInput with the file, and
    the field and the fix of every problem.

        job = load_job("configs/street-boxes.yaml", output="s3://my-bucket/labels/street-boxes")
    """
    document = _resolve(read_yaml(path))
    if manifest is not None:
        section = _section(document, "manifest")
        document["manifest"] = {"rejects_of": section.get("uri"), **section, "uri": manifest}
    if output is not None:
        document["output"] = output
    try:
        job = Job.model_validate(document)
    except ValidationError as error:
        raise _usage_error(path, [_suggest_key(problem) for problem in problems(error)]) from None
    task_problems = check_task(job.task)
    if task_problems:
        raise _usage_error(path, task_problems)
    if unknown := unknown_params(job.task):
        names = ", ".join(one_line(name, 60) for name in unknown)
        log.warning("%s: a %s has no known parameter %s; sent as it is, unchecked", path, job.task_type, names)
    return with_environment(job)


def _resolve(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without `ScalarAsWritten`s. The type of the task determines the types of its parameters."""
    name = _section(document, "task").get("type")
    task = field_types(task_type(name).params, CommonParams) if isinstance(name, str) else {}
    resolved: dict[str, Any] = resolve_scalars(document, {**field_types(Job), "task": task})
    return resolved


def with_environment(job: Job, *, default_counts: bool = True) -> Job:
    """Return the job with SCALE_API_URL as `scale.url`, unless the job itself sets the URL.

    default_counts: whether a URL that equals the default was set by the job. Forms write the default of each field.
    Raises InvalidInput if SCALE_API_URL is invalid.
    """
    url, scale = _url_in_environment(), job.scale
    is_set = "url" in scale.model_fields_set and (default_counts or scale.url != LIVE_URL)
    if url is None or is_set:
        return job
    # The URL of the environment does not count as set: it is not saved with the job.
    fields_set = scale.model_fields_set - {"url"}
    return job.model_copy(
        update={"scale": ScaleSection.model_construct(_fields_set=fields_set, **{**dict(scale), "url": url})}
    )


def _url_in_environment() -> str | None:
    """Return SCALE_API_URL, None if it is not set. Raises InvalidInput, without its value, if it is invalid."""
    url = os.environ.get(API_URL_VARIABLE)
    if not url:
        return None
    try:
        ScaleSection(url=url)
    except ValidationError as error:
        problem = problems(error)[0]
        raise InvalidInput(API_URL_VARIABLE, problem.reason, problem.fix) from None
    return url


def is_config(path: str) -> bool:
    """Whether a path is a config file rather than an output folder, by its extension."""
    return path.lower().endswith((".yaml", ".yml"))


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
        if key not in kind.params.model_fields
        and (similar := similar_key(key, [*kind.params.model_fields, *CommonParams.model_fields]))
    ]
    validate = partial(kind.validate, in_project="project" in common)
    own_problems = [_with_allowed_values(problem, kind.params) for problem in _model_problems(validate, own)]
    return [*task_problems, *_model_problems(CommonParams.model_validate, common), *own_problems]


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
    templated = {key for key, value in values.items() if compile_template(value).columns}
    try:
        validate({key: _stand_in(value) for key, value in values.items()})
    except ValidationError as error:
        return [
            replace(problem, field=f"task.{problem.field}" if problem.field else "task")
            for problem in problems(error)
            if not _is_about(problem, templated)
        ]
    return []


def _is_about(problem: Problem, keys: set[str]) -> bool:
    """Whether a problem is about one of these keys. One about several keys names them in its reason."""
    if problem.field:
        return problem.field.split(".")[0].split("[")[0] in keys
    return any(f"`{key}`" in problem.reason for key in keys)


def _stand_in(value: Any) -> Any:
    """Return a valid value in place of one with columns to fill in, as far as it can be known."""
    if isinstance(value, str) and compile_template(value).columns:
        return _ANY_URL
    if isinstance(value, str) and value.startswith("s3://"):
        return signed_stand_in(value)
    if isinstance(value, dict):
        return {key: _stand_in(item) for key, item in value.items()}
    return [_stand_in(item) for item in value] if isinstance(value, list) else value


def _section(document: dict[str, Any], key: str) -> dict[str, Any]:
    section = document.get(key)
    return section if isinstance(section, dict) else {}


def _suggest_key(problem: Problem) -> Problem:
    if problem.reason != "is not a known key":
        return problem
    *parents, key = problem.field.split(".")
    fields: Any = Job.model_fields
    for parent in parents:
        section: Any = fields[parent].annotation if parent in fields else None
        if not hasattr(section, "model_fields"):  # the key itself contains a dot
            return _unknown_key(problem.field, problem.field, Job.model_fields)
        fields = section.model_fields
    return _unknown_key(problem.field, key, fields)


def _unknown_key(field: str, key: str, known: Iterable[str]) -> Problem:
    close = difflib.get_close_matches(key, list(known), n=1)
    fix = f"did you mean `{close[0]}`?" if close else f"remove it; known keys: {', '.join(known)}"
    return Problem(field, "is not a known key", fix)


def _usage_error(path: str, all_problems: list[Problem]) -> InvalidInput:
    first, *rest = all_problems[:MAX_PROBLEMS]
    fix = first.fix + "".join(f"\n{path}: {problem}" for problem in rest)
    if len(all_problems) > MAX_PROBLEMS:
        fix += f"\n{path}: has {len(all_problems) - MAX_PROBLEMS:,} more problems; correct these first"
    return InvalidInput(path, f"{first.field}: {first.reason}", fix)
