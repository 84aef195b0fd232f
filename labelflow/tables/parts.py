"""Part files: name, write, list and read the Parquet files of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.errors import RunAborted
from labelflow.storage.folder import Folder

BATCH_ROWS = 1 << 15  # rows of a batch of `read_batches`


def to_parquet(table: pa.Table) -> bytes:
    """Encode a table as one Parquet file, compressed with zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def digest_of(table: pa.Table) -> str:
    """Return the SHA-256 of the task ids of a table, in order, as hexadecimal digits."""
    return hashlib.sha256("\n".join(strings(table, "task_id")).encode()).hexdigest()


def part_name(folder: str, digest: str) -> str:
    """Return the file name of a part, derived from the digest of its tasks: equal tasks have equal names.

    Example:
        part_name("labels/", digest_of(table))  # "labels/part-0123456789abcdef.parquet"
    """
    return f"{folder}part-{digest[:16]}.parquet"


def strings(table: pa.Table, column: str) -> list[str]:
    """Return the values of a string column without nulls."""
    return cast("list[str]", table[column].to_pylist())


def list_parts(folder: Folder, prefix: str) -> list[str]:
    """List the names of the Parquet files below a prefix, sorted."""
    return [file.name for file in folder.list(prefix) if file.name.endswith(".parquet")]


def read_part(folder: Folder, name: str, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns. Raises RunAborted if it is not a valid Parquet file."""
    with _open_part(folder, name) as file:
        return file.read(columns, use_threads=False)  # starting threads takes longer than reading a small file


def count_part_rows(folder: Folder, name: str) -> int:
    """Return the number of rows of a Parquet file, from its footer. Raises RunAborted as `read_part` does."""
    with _open_part(folder, name) as file:
        return int(file.metadata.num_rows)


def read_batches(folder: Folder, name: str, columns: list[str]) -> Iterator[pa.Table]:
    """Read some columns of a Parquet file of any size in batches. Raises RunAborted as `read_part` does."""
    with _open_part(folder, name) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


@contextmanager
def _open_part(folder: Folder, name: str) -> Iterator[pq.ParquetFile]:
    with folder.open(name) as file:
        try:
            yield pq.ParquetFile(file)
        except pa.ArrowException as error:
            raise RunAborted(f"{folder.uri}/{name} cannot be read ({error}); remove or restore it") from None
