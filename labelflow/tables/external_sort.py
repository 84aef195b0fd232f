"""External sort: merge parts of any total size into large files in manifest order.

Rows are partitioned by row number into buckets on the local disk; each bucket is then sorted in memory and becomes one
or more row groups. Memory holds one part or one bucket at a time, not the data set.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.errors import StorageError
from labelflow.storage.folder import Folder
from labelflow.tables.key_index import Int64Array
from labelflow.tables.parts import read_part, strings

GROUP_ROWS = 16_384  # rows per row group: finding one row reads one group
MAX_BUCKETS = 256  # bounds the number of open files
FILE_BYTES = 128 << 20  # a merged file is closed once it has at least this size
ROW_NUMBER = "row number"  # the column that buckets have in addition

Order = Callable[[Sequence[str]], Int64Array]  # task ids → their row numbers in the manifest, of the same length


@dataclass(frozen=True, slots=True)
class MergedFile:
    """A local file of merged rows. digest: SHA-256 of the ids of its tasks, in order."""

    path: Path
    digest: str


@contextmanager
def merge_sorted(folder: Folder, names: Sequence[str], order: Order) -> Iterator[Iterator[MergedFile]]:
    """Merge parts of one schema into large files in manifest order. The files exist until the block ends.

    A task that occurs in several parts is written once. Raises StorageError if the local disk is full.

    Example:
        with merge_sorted(folder, list_parts(folder, "labels/"), ledger.row_numbers) as files:
            sizes = [file.path.stat().st_size for file in files]
    """
    try:
        with tempfile.TemporaryDirectory(prefix="labelflow-") as temporary:
            buckets = _partition(folder, names, order, Path(temporary))
            yield _merged_files(buckets, Path(temporary))
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: {error.strerror or error}; free disk space there, or set TMPDIR"
        ) from None


def _partition(folder: Folder, names: Sequence[str], order: Order, directory: Path) -> list[Path]:
    """Write the rows of all parts into buckets; returns the bucket files in order of their row numbers."""
    row_numbers = [order(strings(read_part(folder, name, ["task_id"]), "task_id")) for name in names]
    bounds = _bucket_bounds(np.sort(np.concatenate(row_numbers)))
    writers: dict[int, pa.RecordBatchStreamWriter] = {}
    paths: dict[int, Path] = {}
    for name, numbers in zip(names, row_numbers, strict=True):
        table = read_part(folder, name).append_column(ROW_NUMBER, pa.array(numbers))
        buckets = np.searchsorted(bounds, numbers, side="right")
        for bucket in np.unique(buckets).tolist():
            if bucket not in writers:
                paths[bucket] = directory / f"bucket-{bucket}.arrow"
                writers[bucket] = _open(paths[bucket], table.schema)
            writers[bucket].write_table(table.take(np.flatnonzero(buckets == bucket)))
    for writer in writers.values():
        writer.close()
    return [paths[bucket] for bucket in sorted(paths)]


def _bucket_bounds(numbers: Int64Array) -> Int64Array:
    """The first row number of each bucket except the first. Rows with equal numbers share a bucket."""
    rows = max(GROUP_ROWS, -(-len(numbers) // MAX_BUCKETS))
    return np.unique(numbers[rows::rows])


def _open(path: Path, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
    return pa.ipc.new_stream(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _merged_files(buckets: list[Path], directory: Path) -> Iterator[MergedFile]:
    file_number, writer = 0, None
    for bucket in buckets:
        table = _read_sorted(bucket)
        bucket.unlink()
        writer = writer or _Writer(directory / f"merged-{file_number}.parquet", table.schema)
        writer.write(table)
        if writer.size >= FILE_BYTES:
            yield writer.close()
            file_number, writer = file_number + 1, None
    if writer:
        yield writer.close()


def _read_sorted(bucket: Path) -> pa.Table:
    with pa.OSFile(str(bucket), "rb") as file, pa.ipc.open_stream(file) as stream:
        table = stream.read_all()
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

    def close(self) -> MergedFile:
        self._writer.close()
        return MergedFile(self._path, self._digest.hexdigest())
