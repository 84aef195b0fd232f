"""Keep secrets out of what is written and shown: signatures in URLs, wherever they stand in a text."""

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
    """The text with the signing parameters of every URL in it taken out."""
    if "=" not in text or not _PARAMETER.search(text):
        return text
    stripped = _PARAMETER.sub(r"\1", text)
    stripped = _DANGLING.sub(lambda match: match[0][0], stripped)
    return _EMPTY.sub("", re.sub(r"&(?=[\s\"'<>\\]|$)", "", stripped))


def strip_signatures_in(value: Any) -> Any:
    """A value with the signing parameters of every URL in its texts taken out, however nested."""
    if isinstance(value, str):
        return strip_signatures(value)
    if isinstance(value, list | tuple):
        return [strip_signatures_in(item) for item in value]
    if isinstance(value, dict):
        return {key: strip_signatures_in(item) for key, item in value.items()}
    return value


def redact_errors(function: Callable[P, T]) -> Callable[P, T]:
    """What the function raises carries no signature in its words, whoever writes them down."""

    @wraps(function)
    def clean(*args: P.args, **options: P.kwargs) -> T:
        try:
            return function(*args, **options)
        except Exception as error:
            error.args = tuple(strip_signatures(arg) if isinstance(arg, str) else arg for arg in error.args)
            raise

    return clean
