"""Remove the signatures of presigned URLs from everything that is written or shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_SIGNATURE_KEYS = (
    "X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|X-Amz-Date|X-Amz-Expires|X-Amz-Algorithm|"
    "X-Amz-SignedHeaders|X-Goog-Signature|X-Goog-Credential|Signature|AWSAccessKeyId|GoogleAccessId|Expires|"
    "Key-Pair-Id|Policy|sig"
)
_PARAMETER = re.compile(rf"([?&])(?:{_SIGNATURE_KEYS})=[^&\s\"'<>\\]*", re.IGNORECASE)
_DANGLING = re.compile(r"\?&+|&&+")
_EMPTY = re.compile(r"\?(?=[\s\"'<>\\]|$)")


def strip_signatures(text: str) -> str:
    """Return a text without the signing parameters of the URLs in it. Other parameters are kept.

    Example:
        strip_signatures("GET https://b/a.jpg?v=2&X-Amz-Signature=5ec2e7 failed")  # "GET https://b/a.jpg?v=2 failed"
    """
    if "=" not in text or not _PARAMETER.search(text):
        return text
    stripped = _PARAMETER.sub(r"\1", text)
    stripped = _DANGLING.sub(lambda match: match[0][0], stripped)
    return _EMPTY.sub("", re.sub(r"&(?=[\s\"'<>\\]|$)", "", stripped))


def strip_signatures_in(value: Any) -> Any:
    """Return a JSON-like value with `strip_signatures` applied to all strings, at any depth; tuples become lists."""
    if isinstance(value, str):
        return strip_signatures(value)
    if isinstance(value, list | tuple):
        return [strip_signatures_in(item) for item in value]
    if isinstance(value, dict):
        return {key: strip_signatures_in(item) for key, item in value.items()}
    return value


def redact_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that the messages of the exceptions it raises contain no signatures."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            error.args = tuple(strip_signatures(arg) if isinstance(arg, str) else arg for arg in error.args)
            raise

    return wrapper
