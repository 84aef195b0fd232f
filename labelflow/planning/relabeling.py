"""Rows that have a task already: left alone, unless the run was told to ask people anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from labelflow.ledger.ledger import Ledger
from labelflow.planning.task_requests import TaskRequestBuilder, unique_id
from labelflow.problems import Problem
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from labelflow.tables.key_index import MISSING


class Relabel(StrEnum):
    """Which rows get a new task although they have one."""

    CHANGED = "changed"  # those that ask something else than what their task was made from
    ERRORS = "errors"  # those whose task came back without a label


class RelabelPolicy:
    """Holds rows that have a task against what the task was made from.

    has_failed: whether a task came back without a label.
    """

    def __init__(self, job: str, binder: TaskRequestBuilder, ledger: Ledger, relabel: Relabel | None) -> None:
        self.has_failed: Callable[[str], bool] = lambda _: False
        self._job = job
        self._builder = binder
        self._ledger = ledger
        self._relabel = relabel

    def detect_change(self, row: ManifestRow, row_id: str, inputs: int) -> RejectedRow | None:
        """Why a row is not to be asked anew although it has changed; None where it is as it was.

        inputs: those of its task.
        """
        if self._builder.input_digest(row) == inputs:
            return None
        bound = self._builder.build(row)
        if isinstance(bound, RejectedRow):
            problem = Problem(
                bound.problem.field, f"{bound.problem.reason} (its task was made before)", bound.problem.fix
            )
            return RejectedRow(row, row_id, problem)
        if bound.fingerprint != self._ledger.fingerprint(row_id):
            return reject_changed(row, row_id, self._ledger.latest_task_id(row_id))
        return None

    def should_relabel(self, row_id: str, trouble: RejectedRow | None) -> bool:
        """Whether the run was told to make another task for such a row."""
        if self._relabel is Relabel.ERRORS:
            return self.has_failed(self._ledger.latest_task_id(row_id))
        return self._relabel is Relabel.CHANGED and trouble is not None

    def with_generations(self, rows: Sequence[PreparedRow]) -> list[PreparedRow]:
        """The rows under the ids that their next tasks are to have."""
        places = self._ledger.positions([row.row_id for row in rows])
        return [
            row if place == MISSING else self._next_generation(row) for row, place in zip(rows, places, strict=True)
        ]

    def _next_generation(self, row: PreparedRow) -> PreparedRow:
        return at_generation(row, self._job, self._ledger.next_generation(row.row_id))


def at_generation(row: PreparedRow, job: str, generation: int) -> PreparedRow:
    """The row with the number and the `unique_id` of a later task."""
    return replace(row, generation=generation, unique_id=unique_id(job, row.row_id, generation))


def reject_changed(row: ManifestRow, row_id: str, task_id: str) -> RejectedRow:
    """A row that asks something else than its task."""
    reason = f"has changed since its task {task_id} was made"
    fix = "restore the row, or run with --relabel changed to have it labeled anew"
    return RejectedRow(row, row_id, Problem("task", reason, fix))
