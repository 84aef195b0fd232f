"""External sort: merge parts of any total size into large files in manifest order.

Rows are partitioned by row number into buckets on the local disk; each bucket is then sorted in memory and becomes one
or more row groups. A bucket of large rows is partitioned again. Memory holds one row group at a time, not the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.storage.folder import Folder
from labelflow.tables.key_index import Int64Array
from labelflow.tables.part_files import read_groups, read_part, strings
from labelflow.tables.temporary import temporary_directory

GROUP_ROWS = 16_384  # rows per row group: finding one row reads one group
GROUP_BYTES = 32 << 20  # fewer rows per row group, if they are large: about this size in memory
MAX_BUCKETS = 256  # bounds the number of open files
FILE_BYTES = 128 << 20  # a merged file is closed once it has at least this size
ROW_NUMBER = "row number"  # the column that buckets have in addition

Order = Callable[[Sequence[str]], Int64Array]  # task ids → their row numbers in the manifest, of the same length


@dataclass(frozen=True, slots=True)
class SortedFile:
    """A local file of merged rows. digest: SHA-256 of the ids of its tasks, in order."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A local file of rows with neighboring row numbers. size: bytes in memory."""

    path: Path
    size: int


@contextmanager
def merge_sorted(folder: Folder, names: Sequence[str], order: Order) -> Iterator[Iterator[SortedFile]]:
    """Merge parts of one schema into large files in manifest order. The files exist until the block ends.

    A task that occurs in several parts is written once. Raises StorageError if the local disk is full.

    Example:
        with merge_sorted(folder, list_parts(folder, "labels/"), ledger.row_numbers) as files:
            sizes = [file.path.stat().st_size for file in files]
    """
    with temporary_directory() as directory:
        numbers = [order(strings(read_part(folder, name, ["task_id"]), "task_id")) for name in names]
        bounds = _bounds(np.concatenate(numbers), GROUP_ROWS)
        tables = (table for name in names for table in read_groups(folder, name))
        numbered = (table.append_column(ROW_NUMBER, pa.array(order(strings(table, "task_id")))) for table in tables)
        yield _sorted_files(_partition(numbered, bounds, directory / "bucket"), directory)


def _partition(tables: Iterable[pa.Table], bounds: Int64Array, prefix: Path) -> list[_Bucket]:
    """Write rows into buckets, which `bounds` separates. Returns the buckets in the order of their row numbers."""
    writers: dict[int, pa.RecordBatchStreamWriter] = {}
    buckets: dict[int, _Bucket] = {}
    for table in tables:
        indexes = np.searchsorted(bounds, table[ROW_NUMBER].to_numpy(), side="right")
        for index in np.unique(indexes).tolist():
            rows = table.take(np.flatnonzero(indexes == index))
            if index not in writers:
                buckets[index] = _Bucket(prefix.with_name(f"{prefix.name}-{index}"), 0)
                writers[index] = _open(buckets[index].path, rows.schema)
            writers[index].write_table(rows)
            buckets[index] = replace(buckets[index], size=buckets[index].size + rows.nbytes)
    for writer in writers.values():
        writer.close()
    return [buckets[index] for index in sorted(buckets)]


def _bounds(numbers: Int64Array, min_rows: int, max_buckets: int = MAX_BUCKETS) -> Int64Array:
    """The first row number of each bucket except the first. Rows with equal numbers share a bucket."""
    rows = max(min_rows, -(-len(numbers) // max_buckets))
    bounds = np.unique(np.sort(numbers)[rows::rows])
    return np.asarray(bounds[bounds > numbers.min(initial=np.iinfo(np.int64).max)])  # no bucket is empty


def _open(path: Path, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
    return pa.ipc.new_stream(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _sorted_files(buckets: list[_Bucket], directory: Path) -> Iterator[SortedFile]:
    file_number, writer = 0, None
    for table in (table for bucket in buckets for table in _sorted_tables(bucket)):
        writer = writer or _Writer(directory / f"merged-{file_number}.parquet", table.schema)
        writer.write(table)
        if writer.size >= FILE_BYTES:
            yield writer.close()
            file_number, writer = file_number + 1, None
    if writer:
        yield writer.close()


def _sorted_tables(bucket: _Bucket) -> Iterator[pa.Table]:
    """The rows of a bucket in order, in tables of about GROUP_BYTES. Removes the bucket's file."""
    bounds = _split_bounds(bucket)
    if len(bounds):
        parts = _partition(_read(bucket.path), bounds, bucket.path)
        bucket.path.unlink()
        for part in parts:
            yield from _sorted_tables(part)
        return
    table = pa.concat_tables(_read(bucket.path))
    bucket.path.unlink()
    yield _sort(table)


def _split_bounds(bucket: _Bucket) -> Int64Array:
    """Where to split a bucket that is too large; empty if it is not, or if it has only one row number."""
    if bucket.size <= GROUP_BYTES:
        return np.zeros(0, np.int64)
    numbers = np.concatenate([table[ROW_NUMBER].to_numpy() for table in _read(bucket.path)])
    return _bounds(numbers, 1, -(-2 * bucket.size // GROUP_BYTES))


def _read(path: Path) -> Iterator[pa.Table]:
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield pa.Table.from_batches([batch])


def _sort(table: pa.Table) -> pa.Table:
    numbers = table[ROW_NUMBER].to_numpy()
    rows = np.argsort(numbers, kind="stable")
    if (np.diff(numbers[rows]) == 0).any():
        rows = _deduplicate(strings(table, "task_id"), rows)
    return table.drop_columns(ROW_NUMBER).take(rows).combine_chunks()


def _deduplicate(task_ids: list[str], rows: Int64Array) -> Int64Array:
    """Drop the rows whose task has occurred before; keeps the order."""
    first_rows: dict[str, int] = {}
    for row in rows.tolist():
        first_rows.setdefault(task_ids[row], row)
    return np.fromiter(first_rows.values(), np.int64, len(first_rows))


class _Writer:
    """Writes one large file. It has a Bloom filter of the row ids of each row group."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        bloom: dict[str, Any] = {"row_id": {"ndv": GROUP_ROWS, "fpp": 0.01}} if "row_id" in schema.names else {}
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", bloom_filter_options=bloom)

    @property
    def size(self) -> int:
        """Bytes written to disk so far."""
        return self._path.stat().st_size

    def write(self, table: pa.Table) -> None:
        self._digest.update("\n".join(strings(table, "task_id")).encode())
        self._writer.write_table(table, row_group_size=GROUP_ROWS)

    def close(self) -> SortedFile:
        self._writer.close()
        return SortedFile(self._path, self._digest.hexdigest())
