"""The Parquet files that a job writes: their schemas, declared and versioned, and how they are written."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from labelflow.scale.task_types import task_type

SCHEMA_VERSION = "1"
TIME = pa.timestamp("ms", "UTC")


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
