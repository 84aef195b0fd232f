"""Types of values: Arrow types as files store them, and values as JSON stores them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa


def to_storable_type(kind: pa.DataType) -> pa.DataType:
    """The type as labels/ and rejects/ have it: one that Parquet and every reader takes, text for the rest."""
    if pa.types.is_dictionary(kind):
        return to_storable_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return to_storable_type(kind.storage_type)
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return (
            pa.struct([pa.field(field.name, to_storable_type(field.type)) for field in fields])
            if fields
            else pa.string()
        )
    if pa.types.is_map(kind):
        return pa.map_(to_storable_type(kind.key_type), to_storable_type(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(to_storable_type(kind.value_type))
    if str(kind) in ("string_view", "large_string", "null"):
        return pa.string()
    return pa.binary() if str(kind) in ("binary_view", "large_binary") else kind


def is_lossless(given: Any, stored: Any) -> bool:
    """Whether Arrow has a value as it was given: keys that a struct does not know it leaves out in silence."""
    if isinstance(given, dict) and isinstance(stored, dict):
        return all(key in stored and is_lossless(value, stored[key]) for key, value in given.items())
    if isinstance(given, list | tuple) and isinstance(stored, list | tuple):
        return len(given) == len(stored) and all(map(is_lossless, given, stored))
    return bool(given == stored) or (given != given and stored != stored)  # what is no number equals nothing


def to_json_value(value: Any) -> Any:
    """A value as JSON can carry it: times as ISO 8601, what else is unknown as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)
