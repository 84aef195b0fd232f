"""Answers: what people said to a task, as the row of labels/ or errors/ that it becomes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labeling.callbacks import Callback
from labeling.job import Job
from labeling.outcomes import ERRORS, LABELS
from labeling.redaction import without_signature
from labeling.stages import Outcome, Submission
from labeling.tables import error_schema, label_schema
from scale.contract import Task, TaskStatus, parse_time
from scale.task_types import task_type

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a task.

    version: when the service last changed the task, in milliseconds since 1970, 0 where it does not say. Of two
    answers to a task the one with the higher version counts.
    """

    task_id: str
    outcome: Outcome
    version: int
    row: dict[str, Any]

    @property
    def prefix(self) -> str:
        """Where its row belongs."""
        return LABELS if self.outcome is Outcome.LABELED else ERRORS


class Answering:
    """Makes answers of a job's tasks. unexpected: how many had another shape than the promised one."""

    def __init__(self, job: Job, source_type: pa.DataType) -> None:
        self._type = task_type(job.task_type)
        self._typed = {field.name for field in self._type.columns(job.task)}
        self.schemas = {LABELS: label_schema(job.task, source_type), ERRORS: error_schema(source_type)}
        self.unexpected = 0

    def answer(self, task: Task, submission: Submission) -> Answer:
        """The answer to a task that is no longer pending."""
        outcome = outcome_of(task)
        row = _identity(task, submission)
        if outcome is Outcome.LABELED:
            row.update(self._label(task))
        else:
            row.update(status=outcome.value, reason=_reason(task, outcome))
        return Answer(task.task_id, outcome, version(task), row)

    def _label(self, task: Task) -> dict[str, Any]:
        try:
            return self._type.response.model_validate(task.response).model_dump(include=self._typed)
        except ValidationError:
            self.unexpected += 1
            return {}

    def table(self, prefix: str, answers: list[Answer]) -> pa.Table:
        """Answers as rows of labels/ or errors/."""
        schema = self.schemas[prefix]
        return pa.Table.from_pylist([_for_arrow(answer.row, schema) for answer in answers], schema=schema)


def outcome_of(task: Task) -> Outcome:
    """Where a task's row stands. Source: contract A "Responses": trouble is a completed task with an error."""
    if task.status == TaskStatus.CANCELED:
        return Outcome.CANCELED
    if task.status == TaskStatus.ERROR:
        return Outcome.ERROR
    if task.status != TaskStatus.COMPLETED:
        return Outcome.PENDING
    answered = task.raw.get("response") is not None and (task.response or {}).get("error") is None
    return Outcome.LABELED if answered else Outcome.ERROR


def version(task: Task) -> int:
    """See `Answer`."""
    times = [moment for moment in (task.completed_at, _updated_at(task)) if moment]
    return max(((moment - EPOCH) // timedelta(milliseconds=1) for moment in times), default=0)


def told_by(callback: Callback, task_type: str, submission: Submission) -> Task:
    """The task that a callback tells of, as far as it does."""
    if callback.task:
        return callback.task
    told = {
        "task_id": submission.task_id,
        "type": task_type,
        "status": TaskStatus.ERROR.value,
        "response": callback.response,
        "created_at": submission.created_at.isoformat() if submission.created_at else None,
    }
    return Task.parse(told)


def _updated_at(task: Task) -> datetime | None:
    return parse_time(task.raw.get("updated_at"))


def _reason(task: Task, outcome: Outcome) -> str:
    """Why there is no label; with the HTTP status of each attachment that could not be downloaded."""
    response = task.response or {}
    reason = str(response.get("error") or outcome.value)
    attachments = response.get("attachments")
    told = [one for one in attachments if isinstance(one, dict)] if isinstance(attachments, list) else []
    statuses = [_download(one) for one in told if "statusCode" in one and "url" in one]
    return without_signature(reason) + (f" ({', '.join(statuses)})" if statuses else "")


def _download(attachment: dict[str, Any]) -> str:
    return f"HTTP {attachment['statusCode']}: {without_signature(str(attachment['url']))}"


def _identity(task: Task, submission: Submission) -> dict[str, Any]:
    """The columns that every answer has, whatever its type."""
    single = len(submission.attachments) == 1
    return {
        "row_id": submission.row_id,
        "task_id": task.task_id,
        "unique_id": submission.unique_id,
        "task_type": task.type,
        "created_at": task.created_at,
        "completed_at": task.completed_at,
        "updated_at": _updated_at(task),
        "attachment": submission.attachments[0] if single else None,
        "attachments": None if single else submission.attachments,
        "source": submission.source,
        "response_json": without_signature(_json(task.raw.get("response"))),
    }


def _json(response: Any) -> str:
    try:
        return orjson.dumps(response).decode()
    except TypeError:  # nested deeper than orjson writes
        return json.dumps(response)


def _for_arrow(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """The row with its mappings as Arrow takes them: a map is a list of pairs."""
    return {name: _pairs(value, schema.field(name).type) for name, value in row.items()}


def _pairs(value: Any, kind: pa.DataType) -> Any:
    if value is not None and pa.types.is_map(kind):
        return list(value.items())
    if value is not None and pa.types.is_list(kind) and pa.types.is_map(kind.value_type):
        return [list(item.items()) for item in value]
    return value
