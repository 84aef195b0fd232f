"""Collect: read completed tasks in pages, and write what people answered as rows of Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labeling.job import Job
from labeling.ledger import Ledger
from labeling.redaction import without_signature
from labeling.stages import Outcome, Submission
from labeling.stopping import Stop
from labeling.storage import Folder
from labeling.tables import error_schema, label_schema, part_name, parts, read_part, texts, to_parquet
from scale.client import ScaleClient
from scale.contract import Task, TaskStatus, format_time
from scale.task_types import task_type

LABELS, ERRORS = "labels/", "errors/"
PART_ROWS = 5000  # answers held before they are written
OVERLAP = timedelta(minutes=10)  # of two looks at the list: clocks differ, and listings lag


class Outcomes(dict[str, Outcome]):
    """The tasks that have come back, by id: labeled, error or canceled."""

    def of(self, task_id: str) -> Outcome:
        """Where a task stands."""
        return self.get(task_id, Outcome.PENDING)

    @property
    def labeled(self) -> int:
        """How many came back with a label."""
        return sum(outcome is Outcome.LABELED for outcome in self.values())


class Collector:
    """Takes answers over from the API, each once, in as many passes as it takes."""

    def __init__(
        self,
        job: Job,
        client: ScaleClient,
        ledger: Ledger,
        folder: Folder,
        source_type: pa.DataType,
        stop: Stop,
    ) -> None:
        self._job = job
        self._type = task_type(job.task_type)
        self._client = client
        self._ledger = ledger
        self._folder = folder
        self._stop = stop
        self._label_schema = label_schema(job.task, source_type)
        self._error_schema = error_schema(source_type)
        self._typed = {field.name for field in self._type.columns(job.task)}
        self._completed_after: datetime | None = None
        self.unexpected = 0  # answers whose shape is not the promised one, kept as JSON only
        self.outcomes = load_outcomes(folder)

    def collect(self) -> int:
        """One pass over what has come back since the last. Returns the number of tasks that are new."""
        before = len(self.outcomes)
        if all(task_id in self.outcomes for _, task_id in self._ledger.rows()):
            return 0
        labels: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        newest = self._completed_after
        for task in self._come_back():
            newest = max(filter(None, (newest, task.completed_at)), default=None)
            submission = self._ledger.find(task.task_id)
            if submission is None or task.task_id in self.outcomes:
                continue
            self._sort(task, submission, labels, errors)
            if len(labels) >= PART_ROWS:
                self._write(LABELS, labels, self._label_schema)
            if len(errors) >= PART_ROWS:
                self._write(ERRORS, errors, self._error_schema)
        self._write(LABELS, labels, self._label_schema)
        self._write(ERRORS, errors, self._error_schema)
        if self._ledger.server_knows_ids and newest:
            self._completed_after = newest - OVERLAP
        return len(self.outcomes) - before

    def _come_back(self) -> Iterator[Task]:
        """Tasks of the job's type that are no longer pending, other jobs' among them."""
        first = self._ledger.first_created()
        since = {"start_time": format_time(first - OVERLAP)} if first else {}
        window = {"completed_after": format_time(self._completed_after)} if self._completed_after else {}
        yield from self._list(TaskStatus.COMPLETED, {**since, **window})
        yield from self._list(TaskStatus.CANCELED, since)
        if self._ledger.server_knows_ids:
            yield from self._list(TaskStatus.ERROR, since)

    def _list(self, status: TaskStatus, filters: dict[str, str]) -> Iterator[Task]:
        for page in self._client.list_pages(type=self._job.task_type, status=status.value, **filters):
            self._stop.check()
            yield from page.tasks

    def _sort(
        self, task: Task, submission: Submission, labels: list[dict[str, Any]], errors: list[dict[str, Any]]
    ) -> None:
        outcome = outcome_of(task)
        if outcome is Outcome.PENDING:
            return
        if outcome is Outcome.LABELED:
            labels.append(self._label(task, submission))
        else:
            reason = without_signature(str((task.response or {}).get("error") or outcome.value))
            errors.append({**_identity(task, submission), "status": outcome.value, "reason": reason})
        self.outcomes[task.task_id] = outcome

    def _label(self, task: Task, submission: Submission) -> dict[str, Any]:
        try:
            answer = self._type.response.model_validate(task.response).model_dump(include=self._typed)
        except ValidationError:
            self.unexpected += 1
            answer = {}
        return {**_identity(task, submission), **answer}

    def _write(self, prefix: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
        if not rows:
            return
        rows.sort(key=lambda row: self._ledger.row_number(row["task_id"]))
        table = pa.Table.from_pylist([_for_arrow(row, schema) for row in rows], schema=schema)
        self._folder.write(part_name(prefix, table), to_parquet(table))
        rows.clear()


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


def load_outcomes(folder: Folder) -> Outcomes:
    """What the files of a folder already hold."""
    found = Outcomes()
    for name in parts(folder, LABELS):
        found.update(dict.fromkeys(texts(read_part(folder, name, ["task_id"]), "task_id"), Outcome.LABELED))
    for name in parts(folder, ERRORS):
        table = read_part(folder, name, ["task_id", "status"])
        found.update(zip(texts(table, "task_id"), map(Outcome, texts(table, "status")), strict=True))
    return found
