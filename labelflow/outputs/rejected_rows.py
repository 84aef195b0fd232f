"""The rejected rows of a run: a few in memory, the others in a temporary file."""

from __future__ import annotations

import pickle
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from labelflow.errors import StorageError
from labelflow.records import RejectedRow
from labelflow.tables.key_index import Int64Array

BATCH_BYTES = 8 << 20  # rows that are written at once
OBJECT_BYTES = 1500  # of the Python objects of a row with a few values, in addition to the values
CACHED_BATCHES = 4  # rows are added nearly in order: a few batches overlap

Select = Callable[[list[str], Int64Array], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows in the file. kept: which of them were not removed since."""

    start: int
    numbers: Int64Array
    row_ids: pa.Array[Any]
    kept: NDArray[np.bool_]


class RejectedRows:
    """A collection of rejected rows; it is iterated in the order of the manifest. Threads may add rows at once.

    Raises StorageError if the local disk is full.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffer: list[RejectedRow] = []
        self._buffered_bytes = 0
        self._batches: list[_Batch] = []
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._buffer) + sum(int(np.count_nonzero(batch.kept)) for batch in self._batches)

    def extend(self, rows: Iterable[RejectedRow]) -> None:
        """Add rows."""
        with self._lock:
            for row in rows:
                self._buffer.append(row)
                self._buffered_bytes += row.row.size + OBJECT_BYTES
                if self._buffered_bytes >= BATCH_BYTES:
                    self._spill()

    def keep(self, select: Select) -> None:
        """Keep only the rows for which `select` returns True; it gets row ids ("" for none) and row numbers."""
        with self._lock:
            kept = select(_row_ids(self._buffer), _numbers(self._buffer))
            self._buffer = [row for row, keep in zip(self._buffer, kept, strict=True) if keep]
            for batch in self._batches:
                batch.kept[:] &= select(cast("list[str]", batch.row_ids.to_pylist()), batch.numbers)

    def __iter__(self) -> Iterator[RejectedRow]:
        with self._lock:
            batches, buffer = list(self._batches), list(self._buffer)
        numbers = [*(batch.numbers for batch in batches), _numbers(buffer)]
        kept = np.concatenate([*(batch.kept for batch in batches), np.ones(len(buffer), np.bool_)])
        batch_of = np.repeat(np.arange(len(numbers)), [len(each) for each in numbers])
        index_of = np.concatenate([np.arange(len(each)) for each in numbers])
        order = np.argsort(np.concatenate(numbers), kind="stable")
        loaded: OrderedDict[int, list[RejectedRow]] = OrderedDict({len(batches): buffer})
        for position in order[kept[order]]:
            batch = int(batch_of[position])
            if batch not in loaded:
                loaded[batch] = self._load(batches[batch])
                if len(loaded) > CACHED_BATCHES:
                    loaded.pop(next(key for key in loaded if key != len(batches)))
            yield loaded[batch][index_of[position]]

    def _spill(self) -> None:
        rows, self._buffer, self._buffered_bytes = self._buffer, [], 0
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="labelflow-")  # noqa: SIM115  closed with this object
                weakref.finalize(self, self._file.close)
            start = self._file.seek(0, 2)
            pickle.dump(rows, self._file, pickle.HIGHEST_PROTOCOL)
        except OSError as error:
            raise _storage_error(error) from None
        row_ids = pa.array(_row_ids(rows), pa.string())
        self._batches.append(_Batch(start, _numbers(rows), row_ids, np.ones(len(rows), np.bool_)))

    def _load(self, batch: _Batch) -> list[RejectedRow]:
        try:
            with self._lock:
                assert self._file
                self._file.seek(batch.start)
                return cast("list[RejectedRow]", pickle.load(self._file))
        except OSError as error:
            raise _storage_error(error) from None


def _row_ids(rows: Sequence[RejectedRow]) -> list[str]:
    return [row.row_id or "" for row in rows]


def _numbers(rows: Sequence[RejectedRow]) -> Int64Array:
    return np.array([row.row.number for row in rows], np.int64)


def _storage_error(error: OSError) -> StorageError:
    reason = error.strerror or error
    return StorageError(f"{tempfile.gettempdir()}: {reason}; free disk space there, or set TMPDIR")
