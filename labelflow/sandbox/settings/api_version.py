"""All that differs between the contract of 2017 (contract A) and today's service (contract B)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labelflow.scale.models import TaskStatus

JsonObject = dict[str, Any]

COMMON_PARAMS_2017 = frozenset({"callback_url", "urgency", "metadata"})
COMMON_PARAMS_ADDED = frozenset({"unique_id", "clear_unique_id_on_error", "project", "batch", "tags"})

FILTERS_2017 = frozenset({"start_time", "end_time", "status", "type", "limit", "offset"})
FILTERS_ADDED = frozenset(
    {
        *("project", "batch", "unique_id", "tags", "next_token", "limited_response"),
        *("completed_after", "completed_before", "updated_after", "updated_before"),
        *("created_after", "created_before", "customer_review_status", "include_attachment_url"),
    }
)


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One generation of the API.

    common: parameters of a creation that belong to no type; dropped: those that are not known, and ignored.
    filters: query parameters of `GET /tasks`; strict_filters: whether another one is a 400.
    additions: whether contract B's endpoints and `next_token` are there.
    failed: the status of a task that could not be done.
    cancel_refused: the HTTP status for cancelling a task that is not pending.
    bad_attachment_callback: makes the callback's body, from the usual one and the response.
    """

    name: str
    common_params: frozenset[str]
    ignored_params: frozenset[str]
    filters: frozenset[str]
    strict_filters: bool
    has_additions: bool
    failed_status: TaskStatus
    cancel_rejected_status: int
    bad_attachment_callback: Callable[[JsonObject, JsonObject], JsonObject]


def _with_task(body: JsonObject, response: JsonObject) -> JsonObject:
    return {**response, **body}


def _without_task(body: JsonObject, response: JsonObject) -> JsonObject:
    return {**response, "task_id": body["task_id"]}


API_CURRENT = ApiVersion(
    name="current",
    common_params=COMMON_PARAMS_2017 | COMMON_PARAMS_ADDED,
    ignored_params=frozenset(),
    filters=FILTERS_2017 | FILTERS_ADDED,
    strict_filters=True,
    has_additions=True,
    failed_status=TaskStatus.ERROR,
    cancel_rejected_status=400,
    bad_attachment_callback=_with_task,
)

API_2017 = ApiVersion(
    name="2017",
    common_params=COMMON_PARAMS_2017,
    ignored_params=COMMON_PARAMS_ADDED,
    filters=FILTERS_2017,
    strict_filters=False,
    has_additions=False,
    failed_status=TaskStatus.COMPLETED,
    cancel_rejected_status=500,
    bad_attachment_callback=_without_task,
)

API_VERSIONS = {version.name: version for version in (API_CURRENT, API_2017)}
