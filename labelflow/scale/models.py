"""Objects of the Scale API: the task, its statuses and urgencies, the modes of a key. Source: 2017 API."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from labelflow.scale.errors import InvalidResponse

LIVE_URL = "https://api.scale.com/v1"
PAGE_LIMIT = 100  # maximum of tasks in one page of GET /tasks
MAX_AUDIO_SECONDS = 30 * 60.0  # a longer recording ends the task with an error
MAX_IMAGE_SIDE = 10_000  # pixels; current API
MAX_METADATA_BYTES = 10 * 1024  # of a task's metadata as JSON; current API
MAX_TAGS = 5  # of a task; current API


class TaskStatus(StrEnum):
    """The status of a task. Source: 2017 API, "The task object"; `error`: current API."""

    PENDING = "pending"  # not answered yet, or recalled after an answer
    COMPLETED = "completed"  # answered; in the 2017 API also failed, then `response.error` is the reason
    CANCELED = "canceled"  # canceled before an annotator answered
    ERROR = "error"  # failed, such as for an unavailable attachment or a recording that is too long


class Urgency(StrEnum):
    """How soon a task is answered. Source: 2017 API, "The task object"."""

    IMMEDIATE = "immediate"  # within the hour
    DAY = "day"  # within a day, the default
    WEEK = "week"  # within a week


class Mode(StrEnum):
    """The mode of a key. Source: 2017 API, "Authentication and modes"; the suffix: current API."""

    TEST = "test"  # a task completes at once with a fake response, and is free
    LIVE = "live"  # annotators do the task, and it costs money

    @classmethod
    def from_key(cls, key: str) -> Mode | None:
        """Return the mode of a key, None if the key does not show it.

        >>> Mode.from_key("test_5d3c1f")
        <Mode.TEST: 'test'>
        """
        if key.startswith("test_") or key.endswith("|test"):
            return cls.TEST
        if key.startswith("live_") or key.endswith("|live"):
            return cls.LIVE
        return None


class Task(NamedTuple):
    """A task. Times are in UTC.

    status: a TaskStatus, or a status that this client does not know.
    updated_at: the time of the last change, None in the 2017 API.
    unique_id: None if the task has none, and in the 2017 API.
    metadata: {} if it is missing or not an object. response: None if it is missing or not an object.
    raw: the whole JSON object.
    """

    task_id: str
    type: str
    status: str
    created_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime | None
    unique_id: str | None
    metadata: dict[str, Any]
    response: dict[str, Any] | None
    raw: dict[str, Any]

    @classmethod
    def parse(cls, doc: Any) -> Task:
        """Parse the JSON object of a task. Raises InvalidResponse if it has no `task_id` or no `status`.

        >>> Task.parse({"task_id": "5985d9", "type": "annotation", "status": "pending"}).status
        'pending'
        """
        task_id = doc.get("task_id") if isinstance(doc, dict) else None
        if not isinstance(task_id, str) or not task_id:
            raise InvalidResponse("the response is not a task: `task_id` is missing")
        status, metadata, response = doc.get("status"), doc.get("metadata"), doc.get("response")
        if not isinstance(status, str):
            raise InvalidResponse(f"task {task_id} has no `status`")
        unique_id = doc.get("unique_id")
        return cls(
            task_id=task_id,
            type=str(doc.get("type", "")),
            status=status,
            created_at=parse_time(doc.get("created_at")),
            completed_at=parse_time(doc.get("completed_at")),
            updated_at=parse_time(doc.get("updated_at")),
            unique_id=unique_id if isinstance(unique_id, str) else None,
            metadata=metadata if isinstance(metadata, dict) else {},
            response=response if isinstance(response, dict) else None,
            raw=doc,
        )


def parse_time(text: object) -> datetime | None:
    """Parse an ISO 8601 time into UTC; None if it is not one. A time without a zone is UTC (current API).

    The years 1 and 9999 give None: a conversion to another zone could overflow there.

    >>> parse_time("2017-08-06T21:31:08-05:00")
    datetime.datetime(2017, 8, 7, 2, 31, 8, tzinfo=datetime.timezone.utc)
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo is UTC else _to_utc(moment)
    except (ValueError, OverflowError):
        return None
    return zoned if MINYEAR < zoned.year < MAXYEAR else None


def _to_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_time(moment: datetime) -> str:
    """Format a time as the API does: ISO 8601, UTC, milliseconds, `Z`.

    >>> format_time(datetime(2017, 8, 6, 21, 31, 8, tzinfo=UTC))
    '2017-08-06T21:31:08.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
