"""Read a job's config file, and report all its problems at once."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from labelflow.errors import InvalidInput
from labelflow.jobs.credentials.dotenv import API_URL_VARIABLE
from labelflow.jobs.job import Job, ScaleSection
from labelflow.jobs.scalars_as_text import field_types, resolve_scalars
from labelflow.jobs.task_checks import check_task, unknown_params
from labelflow.jobs.yaml_file import read_yaml
from labelflow.problems import Problem, one_line, problems
from labelflow.scale.models import LIVE_URL
from labelflow.scale.task_types import CommonParams, task_type

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
        log.warning("%s: %s has no known parameter %s; sent as it is, unchecked", path, job.task_type, names)
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
