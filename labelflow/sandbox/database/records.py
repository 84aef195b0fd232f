"""Tasks as database rows and as JSON objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from labelflow.scale.models import TaskStatus, format_time

RawJson = orjson.Fragment  # JSON that is sent as it is stored, without parsing it


class TaskRow(NamedTuple):
    """A row of `tasks`. Times are in milliseconds since 1970; `params`, `metadata`, `tags`, `response` are JSON.

    seq: increases with each task. owner: the account. callback_url: None for the sandbox's own sink.
    callback_succeeded: None until the callback has succeeded or failed for good.
    frees_unique_id: whether an error frees `unique_id`. due_at: when the task is answered.
    """

    seq: int
    task_id: str
    owner: int
    is_test: int
    type: str
    status: str
    created_at: int
    completed_at: int | None
    updated_at: int
    due_at: int
    unique_id: str | None
    frees_unique_id: int
    project: str | None
    batch: str | None
    tags: str | None
    callback_url: str | None
    callback_succeeded: int | None
    instruction: str | None
    urgency: str
    params: str
    metadata: str
    response: str | None

    @property
    def is_pending(self) -> bool:
        """Whether the task is not finished or canceled."""
        return self.status == TaskStatus.PENDING

    def to_doc(self, sink_url: str) -> dict[str, Any]:
        """Return the task object, for orjson. Source: 2017 API, "The task object"."""
        doc: dict[str, Any] = {
            "task_id": self.task_id,
            "type": self.type,
            "status": self.status,
            "created_at": format_milliseconds(self.created_at),
            "callback_url": self.callback_url or sink_url,
            "urgency": self.urgency,
            "params": RawJson(self.params),
            "metadata": RawJson(self.metadata),
        }
        if self.is_test:
            doc["is_test"] = True
        for name in ("instruction", "unique_id", "project", "batch"):
            if (value := getattr(self, name)) is not None:
                doc[name] = value
        if self.tags is not None:
            doc["tags"] = RawJson(self.tags)
        if self.completed_at is not None:
            doc["completed_at"] = format_milliseconds(self.completed_at)
        if self.callback_succeeded is not None:
            doc["callback_succeeded"] = bool(self.callback_succeeded)
        if self.response is not None:
            doc["response"] = RawJson(self.response)
        return doc


COLUMNS = ", ".join(TaskRow._fields)


def format_milliseconds(milliseconds: int) -> str:
    """Format a time in milliseconds since 1970 as the API does."""
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC))
