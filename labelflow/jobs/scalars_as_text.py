"""Numbers and booleans of a config file: a field that takes text gets them as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from labelflow.jobs.yaml_file import ScalarAsWritten


def resolve_scalars(value: Any, expected: Any = Any) -> Any:
    """Return a value of a config file without `ScalarAsWritten`s.

    expected: the type of the field. Where it takes text and no number, a scalar becomes its source.

    >>> resolve_scalars([ScalarAsWritten(12, "012"), ScalarAsWritten(True, "true")], list[str])
    ['012', 'true']
    >>> resolve_scalars({"limit": ScalarAsWritten(12, "012")})
    {'limit': 12}
    """
    if isinstance(value, ScalarAsWritten):
        kinds = set(_alternatives(expected))
        return value.source if any(map(_is_text, kinds)) and not kinds & {int, float, bool, Any} else value.value
    if isinstance(value, dict):
        return {_key(key): resolve_scalars(item, _item_type(expected, _key(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_scalars(item, _item_type(expected, None)) for item in value]
    return value


def field_types(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the types of the fields of several models."""
    return {name: field.annotation for model in models for name, field in model.model_fields.items()}


def _key(key: Any) -> Any:
    return key.source if isinstance(key, ScalarAsWritten) else key


def _item_type(expected: Any, key: str | None) -> Any:
    """The type of an item of a list (key None), or of the value of a key."""
    if isinstance(expected, Mapping):
        return expected.get(key, Any)
    for kind in _alternatives(expected):
        if key is None and get_origin(kind) is list:
            return get_args(kind)[0]
        if key is not None and get_origin(kind) is dict:
            return get_args(kind)[1]
        if key is not None and isinstance(kind, type) and issubclass(kind, BaseModel):
            return field_types(kind).get(key, Any)
    return Any


def _alternatives(expected: Any) -> list[Any]:
    """The members of a union, without annotations; nothing for the fields of a section."""
    if isinstance(expected, Mapping):
        return []
    if get_origin(expected) is Annotated:
        return _alternatives(get_args(expected)[0])
    if get_origin(expected) in (Union, UnionType):
        return [kind for member in get_args(expected) for kind in _alternatives(member)]
    return [expected]


def _is_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(value, str) for value in get_args(kind))
    return isinstance(kind, type) and issubclass(kind, str | Enum)
