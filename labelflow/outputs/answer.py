"""Answers: what people said to a task, as far as it is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from labelflow.outputs.outcomes import ERRORS, LABELS
from labelflow.records import Outcome
from labelflow.redaction import strip_signatures
from labelflow.scale.models import Task, TaskStatus

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
_ENDED: dict[str, Outcome] = {
    TaskStatus.COMPLETED: Outcome.LABELED,
    TaskStatus.CANCELED: Outcome.CANCELED,
    TaskStatus.ERROR: Outcome.ERROR,
}


class Answer(NamedTuple):
    """What came back for a task. Times are UTC.

    place: of the submission that it is to; see `labelflow.ledger.ledger.Ledger`.
    version: when the service last changed the task, in milliseconds since 1970, 0 where it does not say. Of two
    answers to a task the one with the higher version counts.
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
    def of(cls, task: Task, place: int) -> Answer:
        """The answer that a task holds; its outcome is PENDING where it holds none."""
        return cls(
            task_id=task.task_id,
            ledger_position=place,
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
        """Where its row belongs."""
        return LABELS if self.outcome is Outcome.LABELED else ERRORS

    @property
    def response_json(self) -> str:
        """All of the response, without signatures."""
        try:
            text = orjson.dumps(self.response).decode()
        except TypeError:  # nested deeper than orjson writes
            text = json.dumps(self.response)
        return strip_signatures(text)

    @property
    def reason(self) -> str:
        """Why there is no label; with the HTTP status of each attachment that could not be downloaded."""
        response = self.response if isinstance(self.response, dict) else {}
        reason = str(response.get("error") or self.outcome.value)
        attachments = response.get("attachments")
        told = [one for one in attachments if isinstance(one, dict)] if isinstance(attachments, list) else []
        statuses = [_download(one) for one in told if "statusCode" in one and "url" in one]
        return strip_signatures(reason) + (f" ({', '.join(statuses)})" if statuses else "")


def _outcome_of(task: Task) -> Outcome:
    """Where a task's row stands. Source: contract A "Responses": trouble is a completed task with an error."""
    outcome = _ENDED.get(task.status, Outcome.PENDING)
    answered = task.raw.get("response") is not None and (task.response or {}).get("error") is None
    return Outcome.ERROR if outcome is Outcome.LABELED and not answered else outcome


def _version(task: Task) -> int:
    times = [moment for moment in (task.completed_at, task.updated_at) if moment]
    return (max(times) - EPOCH) // MILLISECOND if times else 0


def _download(attachment: dict[str, Any]) -> str:
    return f"HTTP {attachment['statusCode']}: {strip_signatures(str(attachment['url']))}"
