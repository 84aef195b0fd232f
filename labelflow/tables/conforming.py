"""Fit JSON values into declared Arrow types. The answers of people do not always have the type that was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import pyarrow as pa

from labelflow.lenient_json import dump_json

Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"
Converter = Callable[[Any], Any]
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def to_column(values: Iterable[Any], arrow_type: pa.DataType) -> Column:
    """Return JSON values as an Arrow array; a value that does not fit is converted, see `converter`."""
    rows = list(values)
    if not _is_lenient(arrow_type):
        try:
            return pa.array(rows, arrow_type)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array(map(converter(arrow_type), rows), arrow_type)


@lru_cache(maxsize=256)
def converter(arrow_type: pa.DataType) -> Converter:
    """Return a function that converts a JSON value into a form that Arrow stores as a type.

    A single value becomes a list of one, and a list of one a single value. Numbers may be text. Anything else in a
    column of text is JSON. What cannot be converted becomes None. A map becomes a list of pairs, as Arrow takes it.

    >>> converter(pa.struct([("n", pa.float64()), ("tags", pa.list_(pa.string()))]))({"n": "2", "tags": "a", "x": 1})
    {'n': 2.0, 'tags': ['a']}
    """
    if pa.types.is_struct(arrow_type):
        return _to_struct({field.name: converter(field.type) for field in _fields(arrow_type)})
    if pa.types.is_map(arrow_type):
        return _to_pairs(converter(arrow_type.item_type))
    if pa.types.is_list(arrow_type):
        return _to_list(converter(arrow_type.value_type))
    if pa.types.is_boolean(arrow_type):
        return _to_boolean
    if pa.types.is_floating(arrow_type):
        return _to_float
    return _to_integer if pa.types.is_integer(arrow_type) else _to_text


def _to_struct(fields: dict[str, Converter]) -> Converter:
    items = list(fields.items())

    def convert(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None
        return {name: None if (item := value.get(name)) is None else to_field(item) for name, to_field in items}

    return convert


def _to_pairs(to_item: Converter) -> Converter:
    def convert(value: Any) -> Any:
        return [(str(key), to_item(item)) for key, item in value.items()] if isinstance(value, Mapping) else None

    return convert


def _to_list(to_item: Converter) -> Converter:
    def convert(value: Any) -> Any:
        if value is None:
            return None
        return [to_item(item) for item in (value if isinstance(value, list) else [value])]

    return convert


def _to_text(value: Any) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    return _to_text(value[0]) if _is_single(value) else dump_json(value).decode()


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, bool) or value is None:
        return value
    return _to_boolean(value[0]) if _is_single(value) else _BOOLEANS.get(str(value).strip().lower())


def _to_float(value: Any) -> float | None:
    if _is_single(value):
        return _to_float(value[0])
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _to_integer(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    number = _to_float(value)
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else None


def _is_single(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1


def _fields(arrow_type: pa.DataType) -> list[pa.Field[Any]]:
    return [arrow_type.field(index) for index in range(arrow_type.num_fields)]


def _is_lenient(arrow_type: pa.DataType) -> bool:
    """Whether Arrow cannot be asked first: it takes no object as a map, and any text as a list of its characters."""
    if pa.types.is_map(arrow_type) or (pa.types.is_list(arrow_type) and pa.types.is_string(arrow_type.value_type)):
        return True
    return any(_is_lenient(field.type) for field in _fields(arrow_type))
