"""The ledger: which row has which task. It is kept in the output folder, and makes a job resumable.

>>> ledger = Ledger.load(folder, source_type)
>>> ledger.record([submission])  # durable on return
>>> "row-17" in ledger
True
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pyarrow as pa

from labelflow.ledger.ledger_parts import INDEXED_COLUMNS, SUBMISSIONS, LoadedPart, write_part
from labelflow.ledger.part_cache import PartCache
from labelflow.ledger.submission_index import SubmissionIndex, to_strings
from labelflow.records import Submission
from labelflow.storage.folder import Folder
from labelflow.tables.key_index import MISSING, Int64Array, Keys
from labelflow.tables.part_files import list_parts, read_part
from labelflow.tables.schemas import submission_schema

MAX_CONCURRENT_READS = 16  # parts
BATCH_BYTES = 32 << 20  # of submissions with all columns


class Ledger:
    """The submissions of a job. Threads may record at once, and so may other processes: see `refresh`.

    A new one is empty: it can record, and reads what is there with `refresh`.
    A submission is named by its position; see `SubmissionIndex`. Most methods take and give many at once.
    source_type: the Arrow struct of the carried columns, the row's own id first.
    """

    def __init__(self, folder: Folder, source_type: pa.StructType) -> None:
        self.source_type = source_type
        self._folder = folder
        self._index = SubmissionIndex()
        self._cache = PartCache(folder, submission_schema(source_type))

    @classmethod
    def load(cls, folder: Folder, source_type: pa.StructType) -> Ledger:
        """A ledger with everything read that was recorded so far."""
        ledger = cls(folder, source_type)
        ledger.refresh()
        return ledger

    @property
    def tasks(self) -> int:
        """Tasks, superseded ones included."""
        return self._index.tasks

    def __len__(self) -> int:
        """Rows that have a task."""
        return self._index.rows

    def __contains__(self, row_id: str) -> bool:
        return bool(self.positions([row_id])[0] != MISSING)

    def refresh(self) -> None:
        """Read what other processes have recorded since the last time."""
        new = [name for name in list_parts(self._folder, SUBMISSIONS) if name not in self._index]
        with ThreadPoolExecutor(MAX_CONCURRENT_READS) as pool:
            for start in range(0, len(new), MAX_CONCURRENT_READS):
                names = new[start : start + MAX_CONCURRENT_READS]
                tables = pool.map(lambda name: read_part(self._folder, name, INDEXED_COLUMNS), names)
                self._index.add(dict(zip(names, tables, strict=True)))

    def record(self, submissions: Sequence[Submission]) -> None:
        """Record tasks that were created. They are durable on return."""
        if not submissions:
            return
        name, table = write_part(self._folder, self.source_type, submissions)
        self._index.add({name: table})
        self._cache.put(name, table)

    def positions(self, row_ids: Keys) -> Int64Array:
        """The position of each row's latest task, MISSING if it has none."""
        return self._index.find_rows(row_ids)

    def find(self, task_ids: Keys) -> Int64Array:
        """The position of each task, MISSING if it is not of this job, or superseded."""
        return self._index.find_latest_tasks(task_ids)

    def submissions(self, positions: Int64Array) -> pa.Table:
        """The submissions at these positions, in this order; see `submission_schema`."""
        if not len(positions):
            return submission_schema(self.source_type).empty_table()
        order = np.argsort(positions, kind="stable")
        inverse = np.empty(len(order), np.int64)
        inverse[order] = np.arange(len(order))
        return pa.concat_tables(self.submission_batches(positions[order])).take(inverse)

    def submission_batches(self, positions: Int64Array) -> Iterator[pa.Table]:
        """The submissions at these positions, which must ascend, in tables of about BATCH_BYTES or less."""

        def take(group: tuple[LoadedPart, int, int]) -> pa.Table:
            part, start, stop = group
            return self._cache.read(part.name).take(positions[start:stop] - part.start)

        groups = list(self._index.group_by_part(positions))
        tables: list[pa.Table] = []
        with ThreadPoolExecutor(MAX_CONCURRENT_READS) as pool:  # starts no thread before it is used
            for start in range(0, len(groups), MAX_CONCURRENT_READS):
                some = groups[start : start + MAX_CONCURRENT_READS]
                tables += pool.map(take, some) if len(some) > 1 else map(take, some)
                if sum(table.nbytes for table in tables) >= BATCH_BYTES:
                    yield pa.concat_tables(tables)
                    tables = []
        if tables:
            yield pa.concat_tables(tables)

    def rows(self) -> Iterator[tuple[list[str], list[str]]]:
        """The row_id of every row and the task_id of its latest task, a part at a time."""
        for part in self._index.parts:
            latest = pa.array(part.is_latest)
            yield to_strings(part.row_ids.filter(latest)), to_strings(part.task_ids.filter(latest))

    def created(self) -> Iterator[tuple[list[str], Int64Array]]:
        """The latest task of every row and when it was created: milliseconds since 1970 (UTC), MISSING if unknown."""
        for part in self._index.parts:
            yield to_strings(part.task_ids.filter(pa.array(part.is_latest))), part.created[part.is_latest]

    def all_tasks(self) -> Iterator[tuple[str, str]]:
        """The row_id and the task_id of every task, superseded ones included."""
        for part in self._index.parts:
            yield from zip(to_strings(part.row_ids), to_strings(part.task_ids), strict=True)

    def has_task(self, task_id: str) -> bool:
        """Whether a task is in the ledger, superseded or not."""
        return bool(self._index.find_tasks([task_id])[0] != MISSING)

    def latest_task_id(self, row_id: str) -> str:
        """The latest task of a row. Raises KeyError for a row without a task."""
        part, row = self._index.locate(self._index.position_of_row(row_id))
        return str(part.task_ids[row].as_py())

    def next_generation(self, row_id: str) -> int:
        """The generation of the row's next task: 0 for a row without one."""
        if row_id not in self:
            return 0
        part, row = self._index.locate(self._index.position_of_row(row_id))
        return int(part.generations[row]) + 1

    def fingerprint(self, row_id: str) -> str:
        """Of the request that the row's latest task was created from. Raises KeyError for a row without a task."""
        position = np.array([self._index.position_of_row(row_id)])
        return str(self.submissions(position)["fingerprint"][0].as_py())

    def input_digests(self, positions: Int64Array) -> Int64Array:
        """The input digests of the submissions at these positions; see `labelflow.records.Submission`."""
        return self._index.gather(positions, "input_digests")

    def superseded(self) -> list[str]:
        """The tasks that a later task of the same row has replaced."""
        return self._index.superseded()

    def row_numbers(self, task_ids: Sequence[str]) -> Int64Array:
        """The row number in the manifest of each task, counted from 1; unknown tasks sort last."""
        return self._index.row_numbers(task_ids)

    @property
    def supports_unique_id(self) -> bool:
        """Whether the server gave the tasks' `unique_id` back: the current API does, the 2017 API does not."""
        return any(part.has_unique_ids for part in self._index.parts)

    def first_created(self) -> datetime | None:
        """When the oldest task of the job was created (UTC), by the server's clock."""
        return self._index.first_created()
