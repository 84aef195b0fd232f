"""Select the rows of the manifest that get a task in this run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from labelflow.accounting.progress import RunProgress
from labelflow.ledger.ledger import Ledger
from labelflow.planning.relabel.relabeling import ChangeDetector
from labelflow.planning.requests.task_requests import TaskRequestBuilder
from labelflow.planning.rows_without_new_task import RowsWithoutNewTask
from labelflow.problems import Problem
from labelflow.records import ManifestRow, RejectedRow
from labelflow.tables.key_index import MISSING, HashedKeys, Int64Array, KeyIndex


class RowSelection:
    """Decides row by row, in the order of the manifest; rows without a new task go to `unsubmitted`.

    limit: only the first `limit` rows of the manifest get a task.
    unrecorded: ids of rows that have a task which is not in the ledger yet. They are selected, and find it.
    """

    def __init__(
        self,
        builder: TaskRequestBuilder,
        ledger: Ledger,
        relabeling: ChangeDetector,
        unsubmitted: RowsWithoutNewTask,
        progress: RunProgress,
        limit: int | None,
    ) -> None:
        self.unrecorded: Collection[str] = ()
        self._builder = builder
        self._ledger = ledger
        self._relabeling = relabeling
        self._unsubmitted = unsubmitted
        self._progress = progress
        self._limit = limit
        self._first_rows = KeyIndex()  # row_id → number of the first row with that id

    def select(self, rows: Sequence[ManifestRow]) -> list[ManifestRow]:
        """Those of the rows that get a task."""
        row_ids = [_text(self._builder.row_id(row)) for row in rows]
        keys = HashedKeys.of(row_ids)
        first_rows = self._first_occurrences(rows, row_ids, keys)
        digests = self._task_digests(keys)
        selected: list[ManifestRow] = []
        beyond_limit: list[str] = []
        unchanged = 0
        for row, row_id, first_row, digest in zip(rows, row_ids, first_rows, digests, strict=True):
            is_beyond_limit = self._limit is not None and row.number > self._limit
            if first_row != row.number:
                self._unsubmitted.add_rejected([self._duplicate(row, row_id, first_row)])
            elif digest is not None:
                change = self._relabeling.detect_change(row, row_id, digest)
                if not is_beyond_limit and self._needs_new_task(row_id, change):
                    selected.append(row)
                elif change is None:
                    unchanged += 1
                else:
                    self._unsubmitted.add_changed([change])
            elif is_beyond_limit:
                beyond_limit.append(row_id)
            else:
                selected.append(row)
        self._unsubmitted.add_beyond_limit(beyond_limit)
        self._progress.add(read=len(rows), checked=len(rows) - len(selected), submitted=unchanged)
        return selected

    def first_rows(self, row_ids: Sequence[str]) -> Int64Array:
        """The number of the first row with each id, among the rows read so far; MISSING if there is none."""
        return self._first_rows.find(row_ids)

    def missing_rows(self, row_ids: Sequence[str]) -> list[str]:
        """Those ids that no row read so far has."""
        first_rows = self.first_rows(row_ids)
        return [row_id for row_id, row in zip(row_ids, first_rows, strict=True) if row == MISSING]

    def _task_digests(self, keys: HashedKeys) -> list[int | None]:
        """The input digest of each row's task, None for a row without one."""
        positions = self._ledger.positions(keys)
        digests = iter(self._ledger.input_digests(positions[positions != MISSING]).tolist())
        return [next(digests) if position != MISSING else None for position in positions]

    def _first_occurrences(self, rows: Sequence[ManifestRow], row_ids: Sequence[str], keys: HashedKeys) -> list[int]:
        """The number of the first row with each row's id; the row's own number if it has no id."""
        with_id = [index for index, row_id in enumerate(row_ids) if row_id]
        keys = keys[with_id]
        earlier = self._first_rows.find(keys).tolist()
        first: dict[str, int] = {}
        numbers = [row.number for row in rows]
        for index, number in zip(with_id, earlier, strict=True):
            numbers[index] = first.setdefault(row_ids[index], number if number != MISSING else numbers[index])
        self._first_rows.add(keys, np.array([numbers[index] for index in with_id], np.int64))
        return numbers

    def _needs_new_task(self, row_id: str, change: RejectedRow | None) -> bool:
        """Whether a row that has a task gets another one, or has one that is not recorded yet."""
        return row_id in self.unrecorded or self._relabeling.should_relabel(row_id, change)

    def _duplicate(self, row: ManifestRow, row_id: str, first_row: int) -> RejectedRow:
        fix = "give each row an id of its own"
        return RejectedRow(row, row_id, Problem(self._builder.row_id_column, f"is also the id of row {first_row}", fix))


def _text(row_id: str | Problem) -> str:
    """The id of a row, "" for a row without one."""
    return row_id if isinstance(row_id, str) else ""
