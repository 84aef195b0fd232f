"""The JSON schema of a config, for editors: the sections of a job, and the parameters of each task type."""

from __future__ import annotations

from typing import Any

from labelflow.jobs.job import Job
from labelflow.scale.task_types import CommonParams, TaskType, known_types

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SET_BY_LABELFLOW = ("metadata", "unique_id", "clear_unique_id_on_error")
_DESCRIPTIVE = ("description", "default", "examples")
_TEMPLATE = {"type": "string", "pattern": r"\{[^{}]+\}", "title": "{column}"}

Schema = dict[str, Any]


def config_schema() -> Schema:
    """Return the JSON schema of a config. `task` is one of the known types with its own parameters, or another type.

    Any parameter may be a text with `{column}` in it, which the row's value replaces.

    >>> config_schema()["required"]
    ['name', 'manifest', 'task', 'output']
    """
    schema = Job.model_json_schema()
    definitions: Schema = schema["$defs"]
    for name, kind in sorted(known_types.items()):
        definitions[f"task.{name}"] = _task_schema(kind, definitions)
    schema["properties"]["task"] |= {
        "oneOf": [*({"$ref": f"#/$defs/task.{name}"} for name in known_types), _OTHER_TYPE]
    }
    schema["properties"]["task"].pop("additionalProperties", None)
    return {"$schema": DIALECT, **schema, "title": "A labelflow job"}


_OTHER_TYPE: Schema = {
    "title": "another type",
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"type": "string", "pattern": "^[a-z0-9_]+$", "not": {"enum": sorted(known_types)}}},
}


def _task_schema(kind: TaskType, definitions: Schema) -> Schema:
    """Return the schema of a task of a type, and add what it refers to to the definitions."""
    own, common = kind.params.model_json_schema(), CommonParams.model_json_schema()
    definitions.update({**own.pop("$defs", {}), **common.pop("$defs", {})})
    properties = {
        name: _or_template(value)
        for name, value in {**own["properties"], **common["properties"]}.items()
        if name not in _SET_BY_LABELFLOW
    }
    return {
        "title": kind.name,
        "description": own.get("description", ""),
        "type": "object",
        "required": ["type"],  # a project may have the other parameters
        "properties": {"type": {"const": kind.name}, **properties},
    }


def _or_template(schema: Schema) -> Schema:
    """Return a schema that also accepts a text with `{column}`."""
    described = {key: value for key, value in schema.items() if key in _DESCRIPTIVE}
    own = {key: value for key, value in schema.items() if key not in _DESCRIPTIVE}
    return {**described, "anyOf": [own, _TEMPLATE]}
