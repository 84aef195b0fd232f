"""Task types without a module: parameters are not checked, responses stay JSON (current API)."""

from __future__ import annotations

import random

from labelflow.media import Media
from labelflow.scale.task_types.shared.params import TaskParams
from labelflow.scale.task_types.shared.responses import TaskResponse
from labelflow.scale.task_types.shared.task_type import Params, ResponseData, TaskType


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return {"annotations": []}


def generic_type(name: str) -> TaskType:
    """Return a task type that accepts all parameters and has no columns of its own."""
    return TaskType(name, TaskParams, TaskResponse, lambda params: [], _fake_response)
