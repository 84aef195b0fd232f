"""One line per item of a label: per box, word or category. For spreadsheets and for JSON Lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from labelflow.exports.export_format import ExportCounts

IDENTITY = ("row_id", "task_id", "completed_at", "attachment")  # columns that each line has
_COMMON = frozenset(
    (*IDENTITY, "unique_id", "task_type", "created_at", "updated_at", "attachments", "media", "source", "response_json")
)


def item_columns(schema: pa.Schema) -> list[str]:
    """Return the columns of labels/ that make the lines: those that identify the row, and those of the task type."""
    return [*IDENTITY, "source", *(name for name in schema.names if name not in _COMMON)]


def to_items(labels: pa.Table, counts: ExportCounts) -> pa.Table:
    """Return the lines of labels as a flat table, and count them.

    The first list among the type's columns gives a line per element; a label without elements has one line. Structs
    become columns with dotted names; other nested values become JSON text. The columns of `source` come last.
    """
    own = [name for name in labels.column_names if name not in _COMMON]
    repeated = next((name for name in own if pa.types.is_list(labels.schema.field(name).type)), None)
    table = labels if repeated is None else _explode(labels, repeated)
    counts.labels += len(labels)
    counts.rows += len(labels)
    counts.items += len(labels) if repeated is None else pc.sum(pc.list_value_length(labels[repeated])).as_py() or 0
    table = table.select([name for name in IDENTITY if name in table.column_names] + own + ["source"])
    return _flatten(table)


def _explode(labels: pa.Table, column: str) -> pa.Table:
    """Return a row for each element of a list column, and one with null for each list that is empty or null."""
    lists = labels[column].combine_chunks()
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    lines = np.maximum(lengths, 1)
    parents = np.repeat(np.arange(len(labels)), lines)
    has_element = np.repeat(lengths > 0, lines)
    elements = np.cumsum(has_element) - 1
    flat = pc.list_flatten(lists).take(pa.array(elements, pa.int64(), mask=~has_element))
    others = labels.drop_columns([column]).take(parents)
    return others.append_column(pa.field(column, flat.type), flat)


def _flatten(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    columns = [_as_text(column) if _is_nested(column.type) else column for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _is_nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind)


def _as_text(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    values = (None if value is None else orjson.dumps(value, default=str).decode() for value in column.to_pylist())
    return pa.array(values, pa.string())
