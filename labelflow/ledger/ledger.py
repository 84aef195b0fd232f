"""The ledger: which row has which task. It lives beside what the job produces, and makes it resumable."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa

from labelflow.ledger.part_cache import PartCache
from labelflow.ledger.parts import INDEXED_COLUMNS, SUBMISSIONS, LedgerPart, write_part
from labelflow.records import Submission
from labelflow.storage.folder import Folder
from labelflow.tables.key_index import MISSING, HashedKeys, Int64Array, KeyIndex, Keys
from labelflow.tables.parts import list_parts, read_part
from labelflow.tables.schemas import submission_schema

LAST_ROW = 2**62
MAX_CONCURRENT_READS = 16  # parts read at once


class Ledger:
    """The submissions of a job. Threads may record at once, and so may other processes: see `refresh`.

    A row has one task, unless it was relabeled: then its latest one counts, and those before are superseded. Many are
    asked for at once; a submission is known by its place, a number that counts all of them in the order in which they
    were read or recorded here.
    """

    def __init__(self, folder: Folder, source_type: pa.StructType) -> None:
        self._folder = folder
        self._source_type = source_type
        self._lock = threading.Lock()
        self._known: set[str] = set()  # names of the parts
        self._parts: list[LedgerPart] = []
        self._starts: list[int] = []  # of the parts
        self._whole = PartCache(folder)
        self._by_row = KeyIndex()  # row_id → place of its latest task
        self._by_task = KeyIndex()  # task_id → place
        self._is_relabeled = False
        self.refresh()

    @property
    def tasks(self) -> int:
        """How many tasks there are, superseded ones among them."""
        return len(self._by_task)

    def __len__(self) -> int:
        return len(self._by_row)

    def __contains__(self, row_id: str) -> bool:
        return self._by_row.get(row_id) != MISSING

    def refresh(self) -> None:
        """Take over what other processes have recorded since."""
        new = [name for name in list_parts(self._folder, SUBMISSIONS) if name not in self._known]
        with ThreadPoolExecutor(MAX_CONCURRENT_READS) as pool:
            for some in (
                new[start : start + MAX_CONCURRENT_READS] for start in range(0, len(new), MAX_CONCURRENT_READS)
            ):
                tables = pool.map(lambda name: read_part(self._folder, name, INDEXED_COLUMNS), some)
                self._index(dict(zip(some, tables, strict=True)))

    def record(self, submissions: Sequence[Submission]) -> None:
        """Write down tasks that were created. On return they are on lasting storage."""
        if not submissions:
            return
        name, table = write_part(self._folder, self._source_type, submissions)
        self._index({name: table})
        self._whole.put(name, table)

    def positions(self, row_ids: Keys) -> Int64Array:
        """Of the latest task of each row, UNKNOWN where it has none."""
        return self._by_row.find(row_ids)

    def find(self, task_ids: Keys) -> Int64Array:
        """The place of each task, UNKNOWN where it is not of this job, or superseded."""
        places = self._by_task.find(task_ids)
        known = np.flatnonzero(places != MISSING)
        places[known[self._gather(places[known], "is_latest") == 0]] = MISSING
        return places

    def submissions(self, places: Int64Array) -> pa.Table:
        """The submissions at these places, in this order; see `submission_schema`."""
        if not len(places):
            return submission_schema(self._source_type).empty_table()
        order = np.argsort(places, kind="stable")
        ascending = places[order]

        def take(where: tuple[LedgerPart, int, int]) -> pa.Table:
            part, start, stop = where
            return self._whole.read(part.name).take(ascending[start:stop] - part.start)

        wheres = list(self._by_part(ascending))
        if len(wheres) == 1:
            taken = [take(wheres[0])]
        else:
            with ThreadPoolExecutor(MAX_CONCURRENT_READS) as pool:
                taken = list(pool.map(take, wheres))
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(taken).take(back)

    def rows(self) -> Iterator[tuple[list[str], list[str]]]:
        """The row_id of every row, and the task_id of its latest task, some thousand at once."""
        for part in tuple(self._parts):
            latest = pa.array(part.is_latest)
            yield _texts(part.row_ids.filter(latest)), _texts(part.task_ids.filter(latest))

    def created(self) -> Iterator[tuple[list[str], Int64Array]]:
        """The latest task of every row, and when it was created: milliseconds since 1970, UNKNOWN where that is."""
        for part in tuple(self._parts):
            yield _texts(part.task_ids.filter(pa.array(part.is_latest))), part.created[part.is_latest]

    def all_tasks(self) -> Iterator[tuple[str, str]]:
        """The row_id and the task_id of every task, superseded ones among them."""
        for part in tuple(self._parts):
            yield from zip(_texts(part.row_ids), _texts(part.task_ids), strict=True)

    def has_task(self, task_id: str) -> bool:
        """Whether a task is in the ledger, superseded or not."""
        return self._by_task.get(task_id) != MISSING

    def latest_task_id(self, row_id: str) -> str:
        """The latest task of a row that has one."""
        part, row = self._at(self._position_of(row_id))
        return str(part.task_ids[row].as_py())

    def next_generation(self, row_id: str) -> int:
        """0 for a row without a task; counts the row's tasks otherwise."""
        place = self._by_row.get(row_id)
        if place == MISSING:
            return 0
        part, row = self._at(place)
        return int(part.generations[row]) + 1

    def fingerprint(self, row_id: str) -> str:
        """Of the request that the latest task of a row was made from."""
        place = np.array([self._position_of(row_id)])
        return str(self.submissions(place)["fingerprint"][0].as_py())

    def input_digests(self, places: Int64Array) -> Int64Array:
        """Of the submissions at these places: see `Submission`."""
        return self._gather(places, "input_digests")

    def superseded(self) -> list[str]:
        """The tasks in whose stead the row has a later one."""
        if not self._is_relabeled:
            return []
        former = [_texts(part.task_ids.filter(pa.array(~part.is_latest))) for part in self._parts]
        task_ids = list(dict.fromkeys(task_id for some in former for task_id in some))
        places = self._by_task.find(task_ids)  # a part may hold what another holds, too
        return [task_id for task_id, place in zip(task_ids, places, strict=True) if not self._is_latest(int(place))]

    def row_numbers(self, task_ids: Sequence[str]) -> Int64Array:
        """Where in the manifest the row of each task stood, counted from 1; behind all others where it is not known."""
        places = self._by_task.find(task_ids)
        numbers = np.full(len(places), LAST_ROW, np.int64)
        known = places != MISSING
        numbers[known] = self.rows_at(places[known])
        return numbers

    def rows_at(self, places: Int64Array) -> Int64Array:
        """Where in the manifest the rows at these places stood, counted from 1."""
        return self._gather(places, "rows")

    @property
    def supports_unique_id(self) -> bool:
        """Whether the server took the tasks' `unique_id` (contract B): it gives it back with each task."""
        return any(part.has_unique_ids for part in self._parts)

    def first_created(self) -> datetime | None:
        """When the oldest task of the job was created (UTC)."""
        return min((part.first_created for part in self._parts if part.first_created), default=None)

    def _index(self, tables: dict[str, pa.Table]) -> None:
        with self._lock:
            first = start = self._starts[-1] + len(self._parts[-1].rows) if self._parts else 0
            new: list[LedgerPart] = []
            for name in [name for name in tables if name not in self._known]:
                new.append(LedgerPart.of(name, start, tables[name]))
                start += len(tables[name])
            self._parts += new
            self._starts += [part.start for part in new]
            self._known.update(part.name for part in new)
            row_ids = [row_id for part in new for row_id in _texts(part.row_ids)]
            keys = HashedKeys.of(row_ids)
            latest = self._latest(row_ids, keys, first)
            self._by_task.add([task_id for part in new for task_id in _texts(part.task_ids)], np.arange(first, start))
            self._by_row.add(keys, latest)

    def _latest(self, row_ids: Sequence[str], keys: HashedKeys, start: int) -> Int64Array:
        """The place of the latest task of each row; `start` is that of the first of these."""
        before = self._by_row.find(keys)
        latest = dict(zip(row_ids, before.tolist(), strict=True))
        if len(latest) == len(row_ids) and not (before != MISSING).any():
            return np.arange(start, start + len(row_ids))
        for place, row_id in enumerate(row_ids, start):
            rival = latest[row_id]
            latest[row_id] = place if rival == MISSING else self._later_of(rival, place)
        return np.fromiter((latest[row_id] for row_id in row_ids), np.int64, len(row_ids))

    def _later_of(self, one: int, other: int) -> int:
        """Of two tasks of a row, the one of the later generation; the other one is not the latest any more."""
        (part, row), (other_part, other_row) = self._at(one), self._at(other)
        self._is_relabeled |= part.task_ids[row].as_py() != other_part.task_ids[other_row].as_py()
        is_later = bool(other_part.generations[other_row] >= part.generations[row])
        (part if is_later else other_part).is_latest[row if is_later else other_row] = False
        return other if is_later else one

    def _gather(self, places: Int64Array, column: str) -> Int64Array:
        """The values of one of the columns that are in memory."""
        order = np.argsort(places, kind="stable")
        values = np.empty(len(places), np.int64)
        for part, start, stop in self._by_part(places[order]):
            values[order[start:stop]] = getattr(part, column)[places[order[start:stop]] - part.start]
        return values

    def _by_part(self, places: Int64Array) -> Iterator[tuple[LedgerPart, int, int]]:
        """Which of the places, in ascending order, lie in which part."""
        start = 0
        while start < len(places):
            part, _ = self._at(int(places[start]))
            stop = int(np.searchsorted(places, part.start + len(part.rows)))
            yield part, start, stop
            start = stop

    def _at(self, place: int) -> tuple[LedgerPart, int]:
        part = self._parts[bisect_right(self._starts, place) - 1]
        return part, place - part.start

    def _position_of(self, row_id: str) -> int:
        place = self._by_row.get(row_id)
        if place == MISSING:
            raise KeyError(row_id)
        return place

    def _is_latest(self, place: int) -> bool:
        part, row = self._at(place)
        return bool(part.is_latest[row])


def _texts(column: pa.ChunkedArray[Any]) -> list[str]:
    return cast("list[str]", column.to_pylist())
