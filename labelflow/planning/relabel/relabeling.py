"""Decide which rows that already have a task get a new one. By default none do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from labelflow.ledger.ledger import Ledger
from labelflow.planning.requests.task_requests import TaskRequestBuilder, unique_id
from labelflow.problems import Problem
from labelflow.records import ManifestRow, Outcome, PreparedRow, RejectedRow
from labelflow.tables.key_index import MISSING


class RelabelMode(StrEnum):
    """Which rows with a task get a new one; the values of `--relabel`."""

    CHANGED = "changed"  # rows whose fingerprint differs from that of their task
    ERRORS = "errors"  # rows whose task ended in error
    CANCELED = "canceled"  # rows whose task was canceled
    ROWS = "rows"  # rows that the user lists

    @property
    def needs_outcomes(self) -> bool:
        """Whether the outcomes of the tasks decide."""
        return self in _OUTCOMES


_OUTCOMES = {RelabelMode.ERRORS: Outcome.ERROR, RelabelMode.CANCELED: Outcome.CANCELED}


class ChangeDetector:
    """Compares rows that have a task with what the task was created from.

    job: the job's name. relabel: None if no row gets a new task.
    outcome_of: task id → outcome; set by the caller, by default all tasks are pending.
    to_replace: for RelabelMode.ROWS, row id → the task that gets a successor.
    """

    def __init__(self, job: str, builder: TaskRequestBuilder, ledger: Ledger, relabel: RelabelMode | None) -> None:
        self.outcome_of: Callable[[str], Outcome] = lambda _: Outcome.PENDING
        self.to_replace: Mapping[str, str] = {}
        self._job = job
        self._builder = builder
        self._ledger = ledger
        self._relabel = relabel

    def detect_change(self, row: ManifestRow, row_id: str, recorded_digest: int) -> RejectedRow | None:
        """Return a rejection if the row no longer asks what its task asks; None if it is unchanged.

        recorded_digest: the `input_digest` in the ledger. If it is equal, the row is not rebuilt.
        """
        if self._builder.input_digest(row) == recorded_digest:
            return None
        prepared = self._builder.build(row)
        if isinstance(prepared, RejectedRow):
            problem = prepared.problem
            reason = f"{problem.reason} (its task was created from earlier values)"
            return RejectedRow(row, row_id, Problem(problem.field, reason, problem.fix))
        if prepared.fingerprint != self._ledger.fingerprint(row_id):
            return reject_changed(row, row_id, self._ledger.latest_task_id(row_id))
        return None

    def should_relabel(self, row_id: str, change: RejectedRow | None) -> bool:
        """Return whether the row gets a new task. change: the result of `detect_change`."""
        if self._relabel in _OUTCOMES:
            return self.outcome_of(self._ledger.latest_task_id(row_id)) is _OUTCOMES[self._relabel]
        if self._relabel is RelabelMode.ROWS:
            return row_id in self.to_replace and self.to_replace[row_id] == self._ledger.latest_task_id(row_id)
        return self._relabel is RelabelMode.CHANGED and change is not None

    def with_generations(self, rows: Sequence[PreparedRow]) -> list[PreparedRow]:
        """Return the rows with the generation and `unique_id` of their next tasks."""
        positions = self._ledger.positions([row.row_id for row in rows])
        return [
            row if position == MISSING else self._next_generation(row)
            for row, position in zip(rows, positions, strict=True)
        ]

    def _next_generation(self, row: PreparedRow) -> PreparedRow:
        return at_generation(row, self._job, self._ledger.next_generation(row.row_id))


def at_generation(row: PreparedRow, job: str, generation: int) -> PreparedRow:
    """The row with the number and the `unique_id` of a later task."""
    return replace(row, generation=generation, unique_id=unique_id(job, row.row_id, generation))


def reject_changed(row: ManifestRow, row_id: str, task_id: str) -> RejectedRow:
    """Return the rejection of a row that no longer asks what its task asks."""
    reason = f"has changed since its task {task_id} was created"
    fix = "restore the row, or run with --relabel changed to have it labeled again"
    return RejectedRow(row, row_id, Problem("task", reason, fix))
