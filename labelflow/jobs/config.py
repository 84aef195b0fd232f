"""Read a job's config file, and say everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from labelflow.errors import UsageError
from labelflow.jobs.job import Job
from labelflow.jobs.secrets import read_secret
from labelflow.jobs.templates import compile_template
from labelflow.problems import Problem, abbreviate, one_line, problems
from labelflow.scale.models import Mode
from labelflow.scale.task_types import CommonParams, known_types, task_type

_SET_BY_LABELFLOW = {
    "metadata": "list columns under the job's own `metadata`",
    "unique_id": "it is made from `name`",
}
CALLBACK_KEY_VARIABLE = "SCALE_CALLBACK_AUTH_KEY"
_ANY_URL = "https://placeholder.invalid/"
MAX_NODES = 400_000  # values in a config, its aliases written out; a long text counts for several
MAX_PROBLEMS = 20  # told at once


def load_job(path: str, *, manifest: str | None = None, output: str | None = None) -> Job:
    """The job in a YAML file; the two URIs override the file's. Raises UsageError, naming file and field."""
    document = _read_yaml(path)
    if manifest is not None:
        document["manifest"] = {**_section(document, "manifest"), "uri": manifest}
    if output is not None:
        document["output"] = output
    url = os.environ.get("SCALE_API_URL")
    if url:
        document["scale"] = {**_section(document, "scale"), "url": url}
    try:
        job = Job.model_validate(document)
    except ValidationError as error:
        raise _usage_error(path, [_suggest_key(problem) for problem in problems(error)]) from None
    found = check_task(job.task)
    if found:
        raise _usage_error(path, found)
    return job


def with_environment(job: Job) -> Job:
    """The job with what the environment overrides: SCALE_API_URL."""
    url = os.environ.get("SCALE_API_URL")
    return job.model_copy(update={"scale": job.scale.model_copy(update={"url": url})}) if url else job


def is_config(path: str) -> bool:
    """Whether a path is that of a config file, rather than of an output folder."""
    return path.lower().endswith((".yaml", ".yml"))


def read_key(job: Job) -> str:
    """The API key, from where the job says. Raises UsageError where it is missing, or for the other mode."""
    name = job.scale.key.removeprefix("env:")
    key = (os.environ.get("SCALE_API_KEY") or "").strip() or read_secret(job.scale.key)
    if not key:
        where = "Prefect has no" if name.startswith("block:") else "the environment holds no"
        raise UsageError("scale.key", f"{where} {name}", f"set {name} (a .env file will do) to your API key")
    if not key.isascii() or any(character.isspace() for character in key):
        raise UsageError("scale.key", f"{name} is no API key: it holds white space or odd characters", "copy it again")
    # A key that does not say that it is for tests is taken for one that costs money.
    mode = Mode.from_key(key) or Mode.LIVE
    if mode is not job.scale.mode:
        raise UsageError(
            "scale.mode",
            f"the job says {job.scale.mode.value}, and the key is a {mode.value} key",
            f"use a {job.scale.mode.value} key, or write `mode: {mode.value}`",
        )
    return key


def read_callback_key(*jobs: Job) -> str:
    """The callback auth key of the jobs' account. Raises UsageError where it is missing, or where they have several."""
    key = os.environ.get(CALLBACK_KEY_VARIABLE, "").strip()
    keys = {key} if key else {read_secret(job.collect.auth_key) or "" for job in jobs}
    if len(keys) > 1:
        raise UsageError("collect.auth_key", "names several keys", "serve the jobs of one account")
    found = next(iter(keys), "")
    if not found:
        fix = f"set {CALLBACK_KEY_VARIABLE} (a .env file will do) to the callback auth key of your Scale account"
        raise UsageError(CALLBACK_KEY_VARIABLE, "the environment does not hold it", fix)
    return found


def check_task(task: dict[str, Any]) -> list[Problem]:
    """What is wrong with a job's task as far as it can be told without a row."""
    name = task.get("type")
    known = ", ".join(known_types)
    if name is None:
        return [Problem("task.type", "is required and was not given", f"use a Scale task type: {known}")]
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]+", name):
        return [Problem("task.type", f"was {abbreviate(name)}", f"use a Scale task type in lower case: {known}")]
    if name not in known_types and (close := difflib.get_close_matches(name, known_types, n=1, cutoff=0.85)):
        return [Problem("task.type", f"was {abbreviate(name)}", f"did you mean `{close[0]}`?")]
    found = [
        Problem(f"task.{key}", "is set by the job itself", fix) for key, fix in _SET_BY_LABELFLOW.items() if key in task
    ]
    params = {key: value for key, value in task.items() if key not in ("type", *_SET_BY_LABELFLOW)}
    common = {key: params[key] for key in CommonParams.model_fields if key in params}
    own = {key: value for key, value in params.items() if key not in common}
    kind = task_type(name)
    if name in known_types:
        known_keys = [*kind.params.model_fields, *CommonParams.model_fields]
        found += [_unknown_key(f"task.{key}", key, known_keys) for key in own if key not in kind.params.model_fields]
    return [*found, *_model_problems(CommonParams, common), *_model_problems(kind.params, own)]


def _model_problems(model: Any, values: dict[str, Any]) -> list[Problem]:
    templated = {key for key, value in values.items() if compile_template(value).columns}
    try:
        model.model_validate({key: _stand_in(value) for key, value in values.items()})
    except ValidationError as error:
        return [
            replace(problem, field=f"task.{problem.field}" if problem.field else "task")
            for problem in problems(error)
            if not _is_about(problem, templated)
        ]
    return []


def _is_about(problem: Problem, keys: set[str]) -> bool:
    """Whether a problem is one of these keys'; one of several keys names them in its reason."""
    if problem.field:
        return problem.field.split(".")[0].split("[")[0] in keys
    return any(f"`{key}`" in problem.reason for key in keys)


def _stand_in(value: Any) -> Any:
    """A value that passes for one with its columns filled in, as far as that can be known."""
    if isinstance(value, str) and (compile_template(value).columns or value.startswith("s3://")):
        return _ANY_URL
    return [_stand_in(item) for item in value] if isinstance(value, list) else value


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(path, "there is no such file", "give the path of a job's YAML file") from None
    except UnicodeDecodeError:
        raise UsageError(path, "is not UTF-8 text", "save the config as UTF-8") from None
    except OSError as error:
        raise UsageError(path, f"cannot be read ({error.strerror})", "give the path of a job's YAML file") from None
    try:
        document = yaml.load(text, _Loader)
        _refuse_bomb(document)
        json.dumps(document, ensure_ascii=False, default=str).encode()  # no cycle, no half of a character
    except Exception as error:  # a tag's value that is none of its type upsets PyYAML in many ways
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else path
        reason = one_line(str(getattr(error, "problem", None) or error)) or type(error).__name__
        raise UsageError(where, f"is no valid YAML ({reason})", "correct it; quote texts that hold `: ` or {") from None
    if not isinstance(document, dict):
        raise UsageError(path, "is not a job", "write keys and values: name, manifest, task, output")
    return document


def _refuse_bomb(document: Any) -> None:
    """Raises ValueError where aliases make a small file an endless document."""
    size, left = 0, [document]
    while left:
        value = left.pop()
        size += 1 + len(value) // 32 if isinstance(value, str) else 1
        if size > MAX_NODES:
            raise ValueError("its aliases make it too large")
        if isinstance(value, dict | list | tuple | set):
            left += [*value, *value.values()] if isinstance(value, dict) else value


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: a second one would silently replace the first."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge `<<` in; what is merged many times is there once, or a few lines would make millions."""
        super().flatten_mapping(node)
        once = {
            (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key): i
            for i, (key, _) in enumerate(node.value)
        }
        node.value = [node.value[i] for i in sorted(once.values())]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)


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
        if not hasattr(section, "model_fields"):  # the key itself has a dot in it
            return _unknown_key(problem.field, problem.field, Job.model_fields)
        fields = section.model_fields
    return _unknown_key(problem.field, key, fields)


def _unknown_key(field: str, key: str, known: Iterable[str]) -> Problem:
    close = difflib.get_close_matches(key, list(known), n=1)
    fix = f"did you mean `{close[0]}`?" if close else f"remove it; known are {', '.join(known)}"
    return Problem(field, "is not a known key", fix)


def _usage_error(path: str, found: list[Problem]) -> UsageError:
    first, *rest = found[:MAX_PROBLEMS]
    fix = first.fix + "".join(f"\n{path}: {problem}" for problem in rest)
    if len(found) > MAX_PROBLEMS:
        fix += f"\n{path}: has {len(found) - MAX_PROBLEMS:,} more problems; correct these first"
    return UsageError(path, f"{first.field}: {first.reason}", fix)
