"""Request bodies: JSON, or form-encoded as by `curl -d`. Source: 2017 API, "Creating"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel
from starlette.requests import Request

from labelflow.sandbox.errors import ApiError

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"


async def read_params(request: Request, *models: type[BaseModel]) -> dict[str, Any]:
    """Return the parameters in a body, without those that are `null`.

    models: determine which parameters of a form are lists.
    Raises ApiError (400) if the body is not an object.
    """
    if request.headers.get("content-type", "").lower().startswith(FORM_CONTENT_TYPE):
        return coerce_lists(decode_form(await request.body()), *models)
    body = await read_json(request)
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object of parameters.")
    return {key: value for key, value in body.items() if value is not None}


async def read_json(request: Request) -> Any:
    """Return the JSON in a body. Raises ApiError (400) if it is invalid."""
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise ApiError(400, "The body is not valid JSON.") from None


def decode_form(body: bytes) -> dict[str, Any]:
    """Decode a form into nested objects: `a[b]=c` is an object, `a=1&a=2` and `a[]=1` are lists.

    Raises ApiError (400) if a name has both a value and keys.

    >>> decode_form(b"a[b]=c&d=1&d=2")
    {'a': {'b': 'c'}, 'd': ['1', '2']}
    """
    form: dict[str, Any] = {}
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")
    for name, value in pairs:
        _insert(form, name, value)
    return form


def _insert(form: dict[str, Any], name: str, value: str) -> None:
    *parents, last = _split_key(name)
    node = form
    for key in parents:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ApiError(400, f"{name}: has both a value and keys; use only one of them")
    existing = node.get(last)
    if isinstance(existing, dict):
        raise ApiError(400, f"{name}: has both a value and keys; use only one of them")
    if existing is not None:
        node[last] = [*(existing if isinstance(existing, list) else [existing]), value]
    else:
        node[last] = [value] if name.endswith("[]") else value


def _split_key(name: str) -> list[str]:
    """Split `a[b][c][]` into a, b, c. A name with unpaired brackets stays whole."""
    name = name.removesuffix("[]")
    match = re.fullmatch(r"([^\[\]]+)((?:\[[^\[\]]+\])*)", name)
    return [match[1], *re.findall(r"\[([^\[\]]+)\]", match[2])] if match else [name]


def coerce_lists(form: Mapping[str, Any], *models: type[BaseModel]) -> dict[str, Any]:
    """Return a form whose list parameters are lists, also if given as `a=1` alone or as `a[0]=1&a[1]=2`."""
    lists = {name for model in models for name, field in model.model_fields.items() if _is_list(field.annotation)}
    return {name: _as_list(value) if name in lists else value for name, value in form.items()}


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict) and all(key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        return any(_is_list(argument) for argument in get_args(annotation))
    return annotation is list or origin is list
