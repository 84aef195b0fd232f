"""The versioned schemas of the Parquet files that a job writes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from labelflow.scale.task_types import task_type

SCHEMA_VERSION = "1"
TIME = pa.timestamp("ms", "UTC")
MEDIA = pa.list_(
    pa.struct(
        [
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("duration", pa.float64()),
            ("content_type", pa.string()),
            ("bytes", pa.int64()),
        ]
    )
)


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
    """Return the schema of labels/: the identity columns, the media of the attachments, then those of the task type.

    task: the `task` section of the job; if it has `fields`, their keys become the fields of a struct.
    source_type: the type of the `source` column, which holds columns of the manifest.
    """
    media = pa.field("media", MEDIA)
    return _schema("labels", [*_identity(source_type), media, *task_type(str(task["type"])).columns(task)])


def error_schema(source_type: pa.DataType) -> pa.Schema:
    """Return the schema of errors/: tasks that finished without a label, or were canceled."""
    outcome = [pa.field("status", pa.string(), nullable=False), pa.field("reason", pa.string())]
    return _schema("errors", _identity(source_type) + outcome)


def submission_schema(source_type: pa.DataType) -> pa.Schema:
    """Return the schema of _ledger/submissions/: for each task, the row that it was created from.

    row: the row number, from 1. fingerprint, input_digest: see `labelflow.records.PreparedRow`.
    generation: 0 for the first task of a row, plus 1 for each time it is relabeled.
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
        pa.field("media", MEDIA),
        pa.field("source", source_type),
    ]
    return _schema("submissions", fields)
