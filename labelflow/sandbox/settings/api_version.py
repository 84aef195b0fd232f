"""The differences between the 2017 API and the current API."""

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
    """A version of the API.

    name: as in `--api`.
    common_params: parameters of a new task that every type accepts; ignored_params: parameters to drop silently.
    filters: query parameters of `GET /tasks`; strict_filters: whether an unknown one is a 400.
    has_additions: whether there are the endpoints of the current API and `next_token`.
    failed_status: the status of a task that failed.
    cancel_rejected_status: the HTTP status when a task to cancel is not pending.
    bad_attachment_callback: builds the callback body for unavailable attachments, from the usual body and the response.
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
