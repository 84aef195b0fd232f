"""The index of a ledger: which row and which task is where, held in arrays for millions of them."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa

from labelflow.ledger.ledger_parts import LoadedPart
from labelflow.tables.key_index import MISSING, HashedKeys, Int64Array, KeyIndex, Keys

LAST_ROW = 2**62  # the row number of a task that is not in the ledger: it sorts last


class SubmissionIndex:
    """Positions of submissions, by row and by task. Threads may add and read at once.

    A position numbers all submissions in the order in which they were added. A row has one task, unless it was
    relabeled: then the latest generation counts and the earlier tasks are superseded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: list[LoadedPart] = []
        self._starts: list[int] = []  # the first position of each part
        self._names: set[str] = set()  # of the parts
        self._by_row = KeyIndex()  # row_id → position of its latest task
        self._by_task = KeyIndex()  # task_id → position
        self._has_superseded = False

    def __contains__(self, part_name: str) -> bool:
        """Whether a part was added."""
        return part_name in self._names

    @property
    def rows(self) -> int:
        """Rows that have a task."""
        return len(self._by_row)

    @property
    def tasks(self) -> int:
        """Tasks, superseded ones included."""
        return len(self._by_task)

    @property
    def parts(self) -> tuple[LoadedPart, ...]:
        """The parts added so far."""
        return tuple(self._parts)

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Add parts, by name; those that were added before are skipped."""
        with self._lock:
            first = start = self._starts[-1] + len(self._parts[-1].rows) if self._parts else 0
            new: list[LoadedPart] = []
            for name in [name for name in tables if name not in self._names]:
                new.append(LoadedPart.of(name, start, tables[name]))
                start += len(tables[name])
            self._parts += new
            self._starts += [part.start for part in new]
            self._names.update(part.name for part in new)
            row_ids = [row_id for part in new for row_id in to_strings(part.row_ids)]
            keys = HashedKeys.of(row_ids)
            latest = self._latest(row_ids, keys, first)
            task_ids = [task_id for part in new for task_id in to_strings(part.task_ids)]
            self._by_task.add(task_ids, np.arange(first, start))
            self._by_row.add(keys, latest)

    def position_of_row(self, row_id: str) -> int:
        """The position of a row's latest task. Raises KeyError for a row without a task."""
        position = self._by_row.get(row_id)
        if position == MISSING:
            raise KeyError(row_id)
        return position

    def find_rows(self, row_ids: Keys) -> Int64Array:
        """The position of the latest task of each row, MISSING if it has none."""
        return self._by_row.find(row_ids)

    def find_tasks(self, task_ids: Keys) -> Int64Array:
        """The position of each task, superseded or not; MISSING if it is not in the ledger."""
        return self._by_task.find(task_ids)

    def find_latest_tasks(self, task_ids: Keys) -> Int64Array:
        """The position of each task, MISSING if it is not in the ledger or is superseded."""
        positions = self._by_task.find(task_ids)
        known = np.flatnonzero(positions != MISSING)
        positions[known[self.gather(positions[known], "is_latest") == 0]] = MISSING
        return positions

    def superseded(self) -> list[str]:
        """The tasks that a later task of the same row has replaced."""
        if not self._has_superseded:
            return []
        former = [to_strings(part.task_ids.filter(pa.array(~part.is_latest))) for part in self._parts]
        task_ids = list(dict.fromkeys(task_id for part in former for task_id in part))
        positions = self._by_task.find(task_ids)  # another part may hold the same task
        return [task_id for task_id, at in zip(task_ids, positions, strict=True) if not self._is_latest(int(at))]

    def row_numbers(self, task_ids: Sequence[str]) -> Int64Array:
        """The row number in the manifest of each task, counted from 1; LAST_ROW if the task is unknown."""
        positions = self._by_task.find(task_ids)
        numbers = np.full(len(positions), LAST_ROW, np.int64)
        known = positions != MISSING
        numbers[known] = self.gather(positions[known], "rows")
        return numbers

    def first_created(self) -> datetime | None:
        """When the oldest task was created (UTC), by the server's clock; None if no part says."""
        return min((part.first_created for part in self._parts if part.first_created), default=None)

    def gather(self, positions: Int64Array, column: str) -> Int64Array:
        """The values of one of the columns of `LoadedPart` at these positions."""
        order = np.argsort(positions, kind="stable")
        values = np.empty(len(positions), np.int64)
        for part, start, stop in self.group_by_part(positions[order]):
            values[order[start:stop]] = getattr(part, column)[positions[order[start:stop]] - part.start]
        return values

    def group_by_part(self, positions: Int64Array) -> Iterator[tuple[LoadedPart, int, int]]:
        """Which slice of the positions, in ascending order, is in which part."""
        start = 0
        while start < len(positions):
            part, _ = self.locate(int(positions[start]))
            stop = int(np.searchsorted(positions, part.start + len(part.rows)))
            yield part, start, stop
            start = stop

    def locate(self, position: int) -> tuple[LoadedPart, int]:
        """The part that holds a position, and the row within it."""
        part = self._parts[bisect_right(self._starts, position) - 1]
        return part, position - part.start

    def _latest(self, row_ids: Sequence[str], keys: HashedKeys, start: int) -> Int64Array:
        """The position of the latest task of each row, among these (from `start`) and those added before."""
        before = self._by_row.find(keys)
        latest = dict(zip(row_ids, before.tolist(), strict=True))
        if len(latest) == len(row_ids) and not (before != MISSING).any():
            return np.arange(start, start + len(row_ids))
        for position, row_id in enumerate(row_ids, start):
            other = latest[row_id]
            latest[row_id] = position if other == MISSING else self._later_of(other, position)
        return np.fromiter((latest[row_id] for row_id in row_ids), np.int64, len(row_ids))

    def _later_of(self, one: int, other: int) -> int:
        """Of two tasks of a row, the one of the later generation; the other one becomes superseded."""
        (part, row), (other_part, other_row) = self.locate(one), self.locate(other)
        self._has_superseded |= part.task_ids[row].as_py() != other_part.task_ids[other_row].as_py()
        is_later = bool(other_part.generations[other_row] >= part.generations[row])
        (part if is_later else other_part).is_latest[row if is_later else other_row] = False
        return other if is_later else one

    def _is_latest(self, position: int) -> bool:
        part, row = self.locate(position)
        return bool(part.is_latest[row])


def to_strings(column: pa.ChunkedArray[Any]) -> list[str]:
    """The values of a string column."""
    return cast("list[str]", column.to_pylist())
