"""Responses: the base class of what a completed task answers, and Arrow types that several types share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from labelflow.lenient_json import parse_json

_PREFIXES = ("{", "[")


class TaskResponse(BaseModel):
    """A response in its documented format. Further keys are ignored here; the task's `raw` has them."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class CurrentResponse(TaskResponse):
    """A response of a current type: it, or a value of it, may be JSON in a string."""

    @model_validator(mode="before")
    @classmethod
    def _decode(cls, response: Any) -> Any:
        return decode_response(response)


def decode_response(response: Any) -> Any:
    """Return a response with its JSON strings, also those one level below, as objects and lists.

    >>> decode_response('{"annotations": "[1]", "note": "[sic"}')
    {'annotations': [1], 'note': '[sic'}
    """
    response = _decode(response)
    return {key: _decode(value) for key, value in response.items()} if isinstance(response, dict) else response


def _decode(value: Any) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(_PREFIXES):
        return value
    try:
        return parse_json(value.encode())
    except ValueError:
        return value


def struct_type(fields: object) -> pa.DataType:
    """Return the Arrow type of the response to `fields`: a struct of strings with the same keys.

    fields: the value in the job. If it is a template its keys differ by row: then a map of strings to strings.
    """
    if isinstance(fields, Mapping) and fields:
        return pa.struct([pa.field(str(key), pa.string()) for key in fields])
    return pa.map_(pa.string(), pa.string())
