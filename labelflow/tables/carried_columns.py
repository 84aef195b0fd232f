"""The `source` column of files that were written before a carried column was added."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SOURCE = "source"


def with_carried_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table whose `source` has the fields of a schema: a field that it does not have is null in all rows.

    >>> old = pa.table({"source": [{"id": "a"}]})
    >>> schema = pa.schema([("source", pa.struct([("id", pa.string()), ("city", pa.string())]))])
    >>> with_carried_columns(old, schema)["source"].to_pylist()
    [{'id': 'a', 'city': None}]
    """
    field = schema.field(SOURCE)
    index = table.schema.get_field_index(SOURCE)
    if table.schema.field(index).type == field.type:
        return table
    source = table[SOURCE].combine_chunks()
    return table.set_column(index, field, _with_fields(source, field.type))


def _with_fields(source: pa.Array[Any], target: pa.StructType) -> pa.Array[Any]:
    names = {field.name for field in list(source.type)}
    children = [
        pc.struct_field(source, field.name) if field.name in names else pa.nulls(len(source), field.type)
        for field in list(target)
    ]
    return pa.StructArray.from_arrays(children, fields=list(target), mask=source.is_null())
