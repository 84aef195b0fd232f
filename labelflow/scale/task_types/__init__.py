"""The task types, one module each. A module of a folder other than `shared` defines `TYPE`; nothing else registers it.

>>> task_type("annotation").name
'annotation'
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from labelflow.scale.task_types.shared.attachment_fields import replace_values
from labelflow.scale.task_types.shared.files.result_files import FakeFile, ResultFile, place_files
from labelflow.scale.task_types.shared.generic import generic_type
from labelflow.scale.task_types.shared.params import (
    Alternatives,
    CommonParams,
    TaskParams,
    similar_key,
    unknown_keys,
)
from labelflow.scale.task_types.shared.responses import TaskResponse, decode_response
from labelflow.scale.task_types.shared.task_type import TaskType

__all__ = [
    "Alternatives",
    "CommonParams",
    "FakeFile",
    "ResultFile",
    "TaskParams",
    "TaskResponse",
    "TaskType",
    "decode_response",
    "known_types",
    "place_files",
    "replace_values",
    "similar_key",
    "task_type",
    "unknown_keys",
]


def _load_types() -> Iterator[TaskType]:
    for folder in pkgutil.iter_modules(__path__, f"{__name__}."):
        if not folder.name.endswith(".shared"):
            package = importlib.import_module(folder.name)
            for module in pkgutil.iter_modules(package.__path__, f"{folder.name}."):
                yield importlib.import_module(module.name).TYPE


known_types: dict[str, TaskType] = {loaded.name: loaded for loaded in _load_types()}


def task_type(name: str) -> TaskType:
    """Return the type of a name; for an unknown name a generic type, see `generic_type`."""
    return known_types.get(name) or generic_type(name)
