"""All that differs between the contract of 2017 (contract A) and today's service (contract B)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labelflow.scale.models import TaskStatus

Answer = dict[str, Any]

COMMON_2017 = frozenset({"callback_url", "urgency", "metadata"})
COMMON_ADDED = frozenset({"unique_id", "clear_unique_id_on_error", "project", "batch", "tags"})

FILTERS_2017 = frozenset({"start_time", "end_time", "status", "type", "limit", "offset"})
FILTERS_ADDED = frozenset(
    {
        *("project", "batch", "unique_id", "tags", "next_token", "limited_response"),
        *("completed_after", "completed_before", "updated_after", "updated_before"),
        *("created_after", "created_before", "customer_review_status", "include_attachment_url"),
    }
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One generation of the API.

    common: parameters of a creation that belong to no type; dropped: those that are not known, and ignored.
    filters: query parameters of `GET /tasks`; strict_filters: whether another one is a 400.
    additions: whether contract B's endpoints and `next_token` are there.
    failed: the status of a task that could not be done.
    cancel_refused: the HTTP status for cancelling a task that is not pending.
    bad_attachment_callback: makes the callback's body, from the usual one and the response.
    """

    name: str
    common: frozenset[str]
    dropped: frozenset[str]
    filters: frozenset[str]
    strict_filters: bool
    additions: bool
    failed: TaskStatus
    cancel_refused: int
    bad_attachment_callback: Callable[[Answer, Answer], Answer]


def _with_the_task(usual: Answer, response: Answer) -> Answer:
    return {**response, **usual}


def _without_the_task(usual: Answer, response: Answer) -> Answer:
    return {**response, "task_id": usual["task_id"]}


TODAY = Dialect(
    name="today",
    common=COMMON_2017 | COMMON_ADDED,
    dropped=frozenset(),
    filters=FILTERS_2017 | FILTERS_ADDED,
    strict_filters=True,
    additions=True,
    failed=TaskStatus.ERROR,
    cancel_refused=400,
    bad_attachment_callback=_with_the_task,
)

OF_2017 = Dialect(
    name="2017",
    common=COMMON_2017,
    dropped=COMMON_ADDED,
    filters=FILTERS_2017,
    strict_filters=False,
    additions=False,
    failed=TaskStatus.COMPLETED,
    cancel_refused=500,
    bad_attachment_callback=_without_the_task,
)

DIALECTS = {dialect.name: dialect for dialect in (TODAY, OF_2017)}
