"""Rows that have a task already: left alone, unless the run was told to ask people anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from labelflow.ledger.ledger import Ledger
from labelflow.planning.task_requests import Binder, unique_id
from labelflow.problems import Problem
from labelflow.records import BoundRow, ManifestRow, Rejected
from labelflow.tables.key_index import UNKNOWN


class Relabel(StrEnum):
    """Which rows get a new task although they have one."""

    CHANGED = "changed"  # those that ask something else than what their task was made from
    ERRORS = "errors"  # those whose task came back without a label


class Revisitor:
    """Holds rows that have a task against what the task was made from.

    has_failed: whether a task came back without a label.
    """

    def __init__(self, job: str, binder: Binder, ledger: Ledger, relabel: Relabel | None) -> None:
        self.has_failed: Callable[[str], bool] = lambda _: False
        self._job = job
        self._binder = binder
        self._ledger = ledger
        self._relabel = relabel

    def trouble(self, row: ManifestRow, row_id: str, inputs: int) -> Rejected | None:
        """Why a row is not to be asked anew although it has changed; None where it is as it was.

        inputs: those of its task.
        """
        if self._binder.inputs(row) == inputs:
            return None
        bound = self._binder.bind(row)
        if isinstance(bound, Rejected):
            problem = Problem(
                bound.problem.field, f"{bound.problem.reason} (its task was made before)", bound.problem.fix
            )
            return Rejected(row, row_id, problem)
        if bound.fingerprint != self._ledger.fingerprint(row_id):
            return changed(row, row_id, self._ledger.task_of(row_id))
        return None

    def asks_anew(self, row_id: str, trouble: Rejected | None) -> bool:
        """Whether the run was told to make another task for such a row."""
        if self._relabel is Relabel.ERRORS:
            return self.has_failed(self._ledger.task_of(row_id))
        return self._relabel is Relabel.CHANGED and trouble is not None

    def numbered(self, rows: Sequence[BoundRow]) -> list[BoundRow]:
        """The rows under the ids that their next tasks are to have."""
        places = self._ledger.places([row.row_id for row in rows])
        return [row if place == UNKNOWN else self._anew(row) for row, place in zip(rows, places, strict=True)]

    def _anew(self, row: BoundRow) -> BoundRow:
        return at_generation(row, self._job, self._ledger.next_generation(row.row_id))


def at_generation(row: BoundRow, job: str, generation: int) -> BoundRow:
    """The row with the number and the `unique_id` of a later task."""
    return replace(row, generation=generation, unique_id=unique_id(job, row.row_id, generation))


def changed(row: ManifestRow, row_id: str, task_id: str) -> Rejected:
    """A row that asks something else than its task."""
    reason = f"has changed since its task {task_id} was made"
    fix = "restore the row, or run with --relabel changed to have it labeled anew"
    return Rejected(row, row_id, Problem("task", reason, fix))
