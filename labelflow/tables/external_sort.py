"""Merge the parts of a folder into large files in the order of the manifest, whatever their size: an external sort.

The rows are dealt out to buckets on the local disk, by their place in the manifest; each bucket is then sorted by
itself, and becomes a row group. So memory holds a part and a bucket, not the data set.
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

GROUP_ROWS = 16_384  # of a row group: few are read to find a row, each takes one read
MAX_BUCKETS = 256  # files that are open at once
FILE_BYTES = 128 << 20
ROW_NUMBER = "place in the manifest"  # a column of the buckets

Order = Callable[[Sequence[str]], Int64Array]


@dataclass(frozen=True, slots=True)
class MergedFile:
    """A file that was written; `digest` names the tasks in it."""

    path: Path
    digest: str


@contextmanager
def merge_sorted(folder: Folder, names: Sequence[str], order: Order) -> Iterator[Iterator[MergedFile]]:
    """Merge parts, none of which has another schema. The files are there until the block ends.

    order: the places of tasks in the manifest. A task that stands in two parts is written once.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="labelflow-") as made:
            buckets = _partition(folder, names, order, Path(made))
            yield _files(buckets, Path(made))
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: {error.strerror or error}; make room there, or set TMPDIR"
        ) from None


def _partition(folder: Folder, names: Sequence[str], order: Order, made: Path) -> list[Path]:
    """Write the rows of all parts into buckets; gives those in order."""
    places = [order(strings(read_part(folder, name, ["task_id"]), "task_id")) for name in names]
    bounds = _bounds(np.sort(np.concatenate(places)))
    writers: dict[int, pa.RecordBatchStreamWriter] = {}
    paths: dict[int, Path] = {}
    for name, numbers in zip(names, places, strict=True):
        table = read_part(folder, name).append_column(ROW_NUMBER, pa.array(numbers))
        buckets = np.searchsorted(bounds, numbers, side="right")
        for bucket in np.unique(buckets).tolist():
            if bucket not in writers:
                paths[bucket] = made / f"bucket-{bucket}.arrow"
                writers[bucket] = _open(paths[bucket], table.schema)
            writers[bucket].write_table(table.take(np.flatnonzero(buckets == bucket)))
    for writer in writers.values():
        writer.close()
    return [paths[bucket] for bucket in sorted(paths)]


def _bounds(numbers: Int64Array) -> Int64Array:
    """The first number of each bucket but the first; several rows of one number stay together."""
    rows = max(GROUP_ROWS, -(-len(numbers) // MAX_BUCKETS))
    return np.unique(numbers[rows::rows])


def _open(path: Path, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
    return pa.ipc.new_stream(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _files(buckets: list[Path], made: Path) -> Iterator[MergedFile]:
    number, writer = 0, None
    for bucket in buckets:
        table = _sorted(bucket)
        bucket.unlink()
        writer = writer or _Writer(made / f"merged-{number}.parquet", table.schema)
        writer.write(table)
        if writer.size >= FILE_BYTES:
            yield writer.close()
            number, writer = number + 1, None
    if writer:
        yield writer.close()


def _sorted(bucket: Path) -> pa.Table:
    with pa.OSFile(str(bucket), "rb") as file, pa.ipc.open_stream(file) as stream:
        table = stream.read_all()
    places = table[ROW_NUMBER].to_numpy()
    rows = np.argsort(places, kind="stable")
    if (np.diff(places[rows]) == 0).any():
        rows = _deduplicate(strings(table, "task_id"), rows)
    return table.drop_columns(ROW_NUMBER).take(rows).combine_chunks()


def _deduplicate(task_ids: list[str], rows: Int64Array) -> Int64Array:
    """The rows without those whose task has come before."""
    first: dict[str, int] = {}
    for row in rows.tolist():
        first.setdefault(task_ids[row], row)
    return np.fromiter(first.values(), np.int64, len(first))


class _Writer:
    """One large file. Its footer tells of each row group which row ids it may hold."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        bloom: dict[str, Any] = {"row_id": {"ndv": GROUP_ROWS, "fpp": 0.01}} if "row_id" in schema.names else {}
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", bloom_filter_options=bloom)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._path.stat().st_size

    def write(self, table: pa.Table) -> None:
        self._digest.update("\n".join(strings(table, "task_id")).encode())
        self._writer.write_table(table, row_group_size=GROUP_ROWS)

    def close(self) -> MergedFile:
        self._writer.close()
        return MergedFile(self._path, self._digest.hexdigest())
