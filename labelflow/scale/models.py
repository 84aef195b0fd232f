"""The words of the Scale API: statuses, urgencies, modes, and the task object. Source: contract A."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from labelflow.scale.errors import InvalidResponse

LIVE_URL = "https://api.scale.com/v1"
PAGE_LIMIT = 100  # tasks in one page of GET /tasks, at most
MAX_AUDIO_SECONDS = 30 * 60.0  # a longer recording comes back as an error
MAX_IMAGE_SIDE = 10_000  # pixels; contract B


class TaskStatus(StrEnum):
    """Where a task stands. Source: contract A "The task object"; `error` is contract B."""

    PENDING = "pending"  # waiting for a person, or recalled from one
    COMPLETED = "completed"  # answered; in contract A also where `response.error` says why it was not
    CANCELED = "canceled"  # taken back before anyone answered
    ERROR = "error"  # could not be done: the attachment was gone, the recording too long


class Urgency(StrEnum):
    """How soon people answer. Source: contract A "The task object"."""

    IMMEDIATE = "immediate"  # within the hour
    DAY = "day"  # within a day, the default
    WEEK = "week"  # within a week


class Mode(StrEnum):
    """What a key stands for. Source: contract A "Authentication and modes"; the suffix is contract B."""

    TEST = "test"  # no person sees the task; it completes at once with a made-up response
    LIVE = "live"  # people do the task, and it costs money

    @classmethod
    def from_key(cls, key: str) -> Mode | None:
        """The mode that a key is for, None where the key does not say."""
        if key.startswith("test_") or key.endswith("|test"):
            return cls.TEST
        if key.startswith("live_") or key.endswith("|live"):
            return cls.LIVE
        return None


class Task(NamedTuple):
    """A task as the API tells it. Times are UTC; `raw` is the whole object, nothing left out.

    updated_at: when the service last changed it; contract B.
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
        """Read a task object. Raises UnexpectedAnswer where it has no id or no status."""
        task_id = doc.get("task_id") if isinstance(doc, dict) else None
        if not isinstance(task_id, str) or not task_id:
            raise InvalidResponse("the answer holds no task: `task_id` is missing")
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
    """An ISO 8601 time as UTC, None where it is none. A time without a zone is UTC (contract B).

    The first and the last year that there can be are none: a few minutes from there no time can be told.
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
    """A time as the API writes it: ISO 8601, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
