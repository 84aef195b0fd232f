"""The task types. One file here is one type; a new file is all that a new type needs."""

from __future__ import annotations

import importlib
import pkgutil

from labelflow.scale.task_types.base import CommonParams, TaskParams, TaskResponse, TaskType
from labelflow.scale.task_types.generic import generic_type

__all__ = ["CommonParams", "TaskParams", "TaskResponse", "TaskType", "known_types", "task_type"]

_NOT_TYPES = {"base", "drawing", "generic", "fake_text"}  # shared by the types, none itself


def _load() -> dict[str, TaskType]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name not in _NOT_TYPES]
    types = [importlib.import_module(f"{__name__}.{name}").TYPE for name in names]
    return {kind.name: kind for kind in types}


known_types: dict[str, TaskType] = _load()


def task_type(name: str) -> TaskType:
    """The type of that name; one without a file of its own flows through unchecked, its response as JSON."""
    return known_types.get(name) or generic_type(name)
