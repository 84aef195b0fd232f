"""The Parquet files that a job writes: their schemas, declared and versioned, and how they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.errors import RunAborted
from labelflow.scale.task_types import task_type
from labelflow.storage.folder import Folder

SCHEMA_VERSION = "1"
TIME = pa.timestamp("ms", "UTC")
BATCH_ROWS = 1 << 15


def _schema(table: str, fields: list[Any]) -> pa.Schema:
    return pa.schema(fields, metadata={"labelflow.table": table, "labelflow.schema_version": SCHEMA_VERSION})


def _identity(source_type: pa.DataType) -> list[pa.Field[Any]]:
    return [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("unique_id", pa.string()),
        pa.field("task_type", pa.string(), nullable=False),
        pa.field("created_at", TIME),
        pa.field("completed_at", TIME),
        pa.field("updated_at", TIME),
        pa.field("attachment", pa.string()),
        pa.field("attachments", pa.list_(pa.string())),
        pa.field("source", source_type),
        pa.field("response_json", pa.string()),
    ]


def label_schema(task: dict[str, Any], source_type: pa.DataType) -> pa.Schema:
    """Schema of labels/: who and what, then the columns of the task's type.

    task: a job's task; where it asks for `fields`, their keys become the fields of a struct.
    """
    return _schema("labels", _identity(source_type) + task_type(str(task["type"])).columns(task))


def error_schema(source_type: pa.DataType) -> pa.Schema:
    """Schema of errors/: tasks that came back without a label, or were canceled."""
    outcome = [pa.field("status", pa.string(), nullable=False), pa.field("reason", pa.string())]
    return _schema("errors", _identity(source_type) + outcome)


def submission_schema(source_type: pa.DataType) -> pa.Schema:
    """Schema of _ledger/submissions/: the row that each task was made from.

    row: counted from 1. fingerprint, input_digest: see `labelflow.records.PreparedRow`.
    generation: 0 for a row's first task, one more for each time it was relabeled.
    """
    fields = [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("row", pa.int64()),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("unique_id", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("input_digest", pa.int64(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        pa.field("created_at", TIME),
        pa.field("attachments", pa.list_(pa.string())),
        pa.field("source", source_type),
    ]
    return _schema("submissions", fields)


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
