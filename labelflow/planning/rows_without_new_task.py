"""The rows that a run leaves without a new task, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelflow.accounting.progress import RunProgress
from labelflow.ledger.ledger import Ledger
from labelflow.outputs.rejected_rows import RejectedRows
from labelflow.records import ManifestRow, RejectedRow
from labelflow.tables.key_index import MISSING, ArrowStrings, Int64Array

MAX_CHANGED_SAMPLES = 100  # changed rows kept in memory: only a few are shown


class RowsWithoutNewTask:
    """Collects rows without a new task; `progress` gets their numbers.

    rejected: rows that cannot be submitted.
    changed: samples of rows that differ from what their task was created from and keep that task; without values.
    over_cap, beyond_limit, outcome_unknown: ids of valid rows without a task; see `RunProgress`.
    """

    def __init__(self, ledger: Ledger, progress: RunProgress) -> None:
        self.rejected = RejectedRows()
        self.changed: list[RejectedRow] = []
        self.over_cap = ArrowStrings()
        self.beyond_limit = ArrowStrings()
        self.outcome_unknown = ArrowStrings()
        self._ledger = ledger
        self._progress = progress

    def reject(self, rows: Sequence[RejectedRow]) -> None:
        """Add rows that cannot be submitted. A row that has a task keeps it: it counts as changed."""
        positions = self._ledger.positions([row.row_id or "" for row in rows])
        self.add_changed([row for row, position in zip(rows, positions, strict=True) if position != MISSING])
        self.add_rejected([row for row, position in zip(rows, positions, strict=True) if position == MISSING])

    def add_rejected(self, rows: Sequence[RejectedRow]) -> None:
        """Add rows that are rejected whether or not their id has a task: duplicates of an earlier row."""
        self.rejected.extend(rows)
        self._progress.add(rejected=len(rows))

    def add_changed(self, rows: Sequence[RejectedRow]) -> None:
        """Add rows that have changed since their task was created."""
        samples = rows[: max(0, MAX_CHANGED_SAMPLES - len(self.changed))]
        self.changed.extend(replace(row, row=ManifestRow(row.row.number, {})) for row in samples)
        self._progress.add(changed=len(rows), submitted=len(rows))

    def add_over_cap(self, row_ids: Sequence[str]) -> None:
        """Add valid rows for which the cap leaves no task."""
        self.over_cap.add(row_ids)
        self._progress.add(over_cap=len(row_ids))

    def add_beyond_limit(self, row_ids: Sequence[str]) -> None:
        """Add rows that `--limit` leaves out."""
        self.beyond_limit.add(row_ids)
        self._progress.add(beyond_limit=len(row_ids))

    def add_outcome_unknown(self, row_ids: Sequence[str]) -> None:
        """Add rows that were sent, and for which no response says whether a task was created."""
        self.outcome_unknown.add(row_ids)
        self._progress.add(outcome_unknown=len(row_ids))

    def discard_submitted(self, first_rows: Callable[[Sequence[str]], Int64Array]) -> None:
        """Remove the rows for which another run has recorded a task since.

        first_rows: the number of the first row with each id; a later row with the same id stays rejected.
        """
        self.rejected.keep(lambda row_ids, numbers: ~((first_rows(row_ids) == numbers) & self._has_task(row_ids)))
        for rows in (self.over_cap, self.beyond_limit, self.outcome_unknown):
            rows.keep(lambda row_ids: ~self._has_task(row_ids))

    def _has_task(self, row_ids: Sequence[str]) -> NDArray[np.bool_]:
        has_task: NDArray[np.bool_] = self._ledger.positions(row_ids) != MISSING
        return has_task
