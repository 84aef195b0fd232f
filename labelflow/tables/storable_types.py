"""Convert Arrow types to types that files store, and values to values that JSON stores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
from pydantic_core import to_jsonable_python


def to_storable_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type that labels/ and rejects/ use for a type of the manifest.

    All common Parquet readers support it: dictionary and extension types become their value types, view and large
    types the plain ones; UUIDs, null and empty structs become strings. Nested types are converted recursively.

    Example:
        to_storable_type(pa.dictionary(pa.int32(), pa.large_string()))  # pa.string()
    """
    if pa.types.is_dictionary(arrow_type):
        return to_storable_type(arrow_type.value_type)
    if isinstance(arrow_type, pa.UuidType):
        return pa.string()
    if isinstance(arrow_type, pa.BaseExtensionType):
        return to_storable_type(arrow_type.storage_type)
    if pa.types.is_struct(arrow_type):
        fields = [arrow_type.field(index) for index in range(arrow_type.num_fields)]
        return (
            pa.struct([pa.field(field.name, to_storable_type(field.type)) for field in fields])
            if fields
            else pa.string()
        )
    if pa.types.is_map(arrow_type):
        return pa.map_(to_storable_type(arrow_type.key_type), to_storable_type(arrow_type.item_type))
    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type) or pa.types.is_fixed_size_list(arrow_type):
        return pa.list_(to_storable_type(arrow_type.value_type))
    if str(arrow_type) in ("string_view", "large_string", "null"):
        return pa.string()
    return pa.binary() if str(arrow_type) in ("binary_view", "large_binary") else arrow_type


def is_lossless(original: Any, stored: Any) -> bool:
    """Whether Arrow stored a value unchanged: it silently drops the keys that a struct type does not have."""
    if isinstance(original, dict) and isinstance(stored, dict):
        return all(key in stored and is_lossless(value, stored[key]) for key, value in original.items())
    if isinstance(original, list | tuple) and isinstance(stored, list | tuple):
        return len(original) == len(stored) and all(map(is_lossless, original, stored))
    return bool(original == stored) or (original != original and stored != stored)  # NaN is not equal to itself


def to_json_value(value: Any) -> Any:
    """Convert a value to one that JSON can represent.

    Times and durations become ISO 8601, NaN and infinities None, decimals and UUIDs text, binary values the text that
    they encode in UTF-8, and maps (which Arrow returns as lists of pairs) objects. Raises TypeError for anything else.

    Example:
        to_json_value({"at": date(2026, 1, 2), "score": float("nan")})  # {"at": "2026-01-02", "score": None}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return {str(key): to_json_value(item) for key, item in value}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return to_jsonable_python(value)
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, bytes):
        return _decode(value)
    raise TypeError(f"a value of the type {type(value).__name__}")


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TypeError("binary data that is not UTF-8 text") from None
