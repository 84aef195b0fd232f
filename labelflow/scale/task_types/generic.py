"""A type without a file of its own: parameters go out unchecked, responses stay JSON (contract B)."""

from __future__ import annotations

import random

from labelflow.media import Media
from labelflow.scale.task_types.base import Params, ResponseData, TaskParams, TaskResponse, TaskType


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return {"annotations": []}


def generic_type(name: str) -> TaskType:
    """A type of that name of which nothing is known."""
    return TaskType(name, TaskParams, TaskResponse, lambda params: [], _fake_response)
