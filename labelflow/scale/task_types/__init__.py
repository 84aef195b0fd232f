"""The task types, one module each. A module that defines `TYPE` adds a type; nothing else registers it.

>>> task_type("annotation").name
'annotation'
"""

from __future__ import annotations

import importlib
import pkgutil

from labelflow.scale.task_types.shared.attachment_fields import replace_values, signed_stand_in
from labelflow.scale.task_types.shared.base import CommonParams, TaskParams, TaskResponse, TaskType, similar_key
from labelflow.scale.task_types.shared.generic import generic_type

__all__ = [
    "CommonParams",
    "TaskParams",
    "TaskResponse",
    "TaskType",
    "known_types",
    "replace_values",
    "signed_stand_in",
    "similar_key",
    "task_type",
]


def _load_types() -> dict[str, TaskType]:
    modules = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    types: list[TaskType] = [importlib.import_module(f"{__name__}.{module}").TYPE for module in modules]
    return {loaded.name: loaded for loaded in types}


known_types: dict[str, TaskType] = _load_types()


def task_type(name: str) -> TaskType:
    """Return the type of a name; for an unknown name a generic type, see `generic_type`."""
    return known_types.get(name) or generic_type(name)
