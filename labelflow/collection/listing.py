"""What the two ways of reading the API's listing share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labelflow.scale.client import TaskPage
from labelflow.scale.models import TaskStatus

Filters = dict[str, str]  # query parameters of GET /tasks
Pages = Callable[[TaskStatus, Filters], Iterator[TaskPage]]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What a page contained. new: answers. complete: nothing in it has to be read again."""

    new: int
    complete: bool


IngestPage = Callable[[TaskPage], IngestResult]
