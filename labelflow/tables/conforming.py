"""Fit JSON values into declared Arrow types. The answers of people do not always have the type that was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import pyarrow as pa

from labelflow.lenient_json import dump_json

Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def to_column(values: Iterable[Any], arrow_type: pa.DataType) -> Column:
    """Return JSON values as an Arrow array; a value that does not fit is converted by `conform`."""
    rows = list(values)
    if not _has_map(arrow_type):
        try:
            return pa.array(rows, arrow_type)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([conform(row, arrow_type) for row in rows], arrow_type)


def conform(value: Any, arrow_type: pa.DataType) -> Any:
    """Return a JSON value in a form that Arrow stores as a type. What cannot be converted becomes None.

    A single value becomes a list of one, and a list of one a single value. Numbers may be text. Anything else in a
    column of text is JSON. A map becomes a list of pairs, which is what Arrow takes.

    >>> conform({"n": "2", "tags": "a", "other": 1}, pa.struct([("n", pa.float64()), ("tags", pa.list_(pa.string()))]))
    {'n': 2.0, 'tags': ['a']}
    """
    if value is None:
        return None
    if pa.types.is_struct(arrow_type):
        fields = [arrow_type.field(index) for index in range(arrow_type.num_fields)]
        is_object = isinstance(value, Mapping)
        return {field.name: conform(value.get(field.name), field.type) for field in fields} if is_object else None
    if pa.types.is_map(arrow_type):
        is_object = isinstance(value, Mapping)
        return [(str(key), conform(item, arrow_type.item_type)) for key, item in value.items()] if is_object else None
    if pa.types.is_list(arrow_type):
        return [conform(item, arrow_type.value_type) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list) and len(value) == 1:
        return conform(value[0], arrow_type)
    return _conform_scalar(value, arrow_type)


def _conform_scalar(value: Any, arrow_type: pa.DataType) -> Any:
    if pa.types.is_boolean(arrow_type):
        return value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
    if pa.types.is_floating(arrow_type) or pa.types.is_integer(arrow_type):
        return _number(value, arrow_type)
    return value if isinstance(value, str) else dump_json(value).decode()


def _number(value: Any, arrow_type: pa.DataType) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    if pa.types.is_floating(arrow_type):
        return number
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def _has_map(arrow_type: pa.DataType) -> bool:
    if pa.types.is_map(arrow_type):
        return True
    return any(_has_map(arrow_type.field(index).type) for index in range(arrow_type.num_fields))
