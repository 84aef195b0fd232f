"""Answers: the finished state of a task, as far as it is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.records import Outcome
from labelflow.redaction import strip_signatures, to_redacted_json
from labelflow.scale.models import Task, TaskStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OUTCOMES: dict[str, Outcome] = {
    TaskStatus.COMPLETED: Outcome.LABELED,
    TaskStatus.CANCELED: Outcome.CANCELED,
    TaskStatus.ERROR: Outcome.ERROR,
}


class Answer(NamedTuple):
    """The answer to a task: its outcome and its response. Times are UTC.

    ledger_position: position of its submission in the ledger; see `labelflow.ledger.ledger.Ledger`.
    version: when the service last changed the task, in milliseconds since 1970, 0 if unknown. Of two answers to one
    task, the one with the higher version wins.
    """

    task_id: str
    ledger_position: int
    outcome: Outcome
    version: int
    task_type: str
    created_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime | None
    response: Any

    @classmethod
    def of(cls, task: Task, ledger_position: int) -> Answer:
        """Build the answer from a task; its outcome is PENDING if the task is not finished."""
        return cls(
            task_id=task.task_id,
            ledger_position=ledger_position,
            outcome=_outcome_of(task),
            version=_version(task),
            task_type=task.type,
            created_at=task.created_at,
            completed_at=task.completed_at,
            updated_at=task.updated_at,
            response=task.raw.get("response"),
        )

    @property
    def folder(self) -> str:
        """The folder that its row belongs to: LABELS or ERRORS."""
        return LABELS if self.outcome is Outcome.LABELED else ERRORS

    @property
    def response_json(self) -> str:
        """The complete response as JSON, without URL signatures."""
        return to_redacted_json(self.response)

    @property
    def reason(self) -> str:
        """Why there is no label, with the HTTP status of each attachment that Scale could not download or read."""
        response = self.response if isinstance(self.response, dict) else {}
        reason = str(response.get("error") or self.outcome.value)
        statuses = [*_unavailable(response.get("attachments")), *_unreadable(response.get("frames"))]
        return strip_signatures(reason) + (f" ({', '.join(statuses)})" if statuses else "")


def _outcome_of(task: Task) -> Outcome:
    """The outcome of a task. A failed task has the status `completed` and an error in its response.

    Source: the 2017 API, "Responses".
    """
    outcome = _OUTCOMES.get(task.status, Outcome.PENDING)
    has_label = task.raw.get("response") is not None and (task.response or {}).get("error") is None
    return Outcome.ERROR if outcome is Outcome.LABELED and not has_label else outcome


def _version(task: Task) -> int:
    times = [time for time in (task.completed_at, task.updated_at) if time]
    return (max(times) - _EPOCH) // _MILLISECOND if times else 0


def _unavailable(attachments: Any) -> list[str]:
    entries = [entry for entry in attachments if isinstance(entry, dict)] if isinstance(attachments, list) else []
    return [_download_status(entry) for entry in entries if "statusCode" in entry and "url" in entry]


def _unreadable(frames: Any) -> list[str]:
    """Return the frames of a video or of lidar that Scale could not use. Source: current API, "Errors"."""
    entries = [entry for entry in frames if isinstance(entry, dict)] if isinstance(frames, list) else []
    return [_unreadable_frame(entry) for entry in entries if "message" in entry]


def _unreadable_frame(entry: dict[str, Any]) -> str:
    message = strip_signatures(str(entry["message"]))
    return ": ".join([f"frame {entry.get('frame')}", message, *_unavailable([entry.get("attachment")])])


def _download_status(attachment: dict[str, Any]) -> str:
    return f"HTTP {attachment['statusCode']}: {strip_signatures(str(attachment['url']))}"
