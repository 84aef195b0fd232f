"""Parquet parts: write, list and read the files of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.errors import RunAborted
from labelflow.storage.folder import Folder

BATCH_ROWS = 1 << 15


def to_parquet(table: pa.Table) -> bytes:
    """A table as the bytes of one Parquet file, zstd compressed."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def digest_of(table: pa.Table) -> str:
    """Names the tasks in a table."""
    return hashlib.sha256("\n".join(strings(table, "task_id")).encode()).hexdigest()


def part_name(folder: str, digest: str) -> str:
    """A name for a part, made from the tasks in it: two writers of different tasks never meet."""
    return f"{folder}part-{digest[:16]}.parquet"


def strings(table: pa.Table, column: str) -> list[str]:
    """The values of a text column that holds no nulls."""
    return cast("list[str]", table[column].to_pylist())


def list_parts(folder: Folder, prefix: str) -> list[str]:
    """The names of the Parquet files below a prefix."""
    return [file.name for file in folder.list(prefix) if file.name.endswith(".parquet")]


def read_part(folder: Folder, name: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file of a folder, or some of its columns."""
    with _open_part(folder, name) as file:
        return file.read(columns, use_threads=False)  # for a small file threads take longer to start than to read


def read_batches(folder: Folder, name: str, columns: list[str]) -> Iterator[pa.Table]:
    """Some columns of a Parquet file of any size, some ten thousand rows at once."""
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
