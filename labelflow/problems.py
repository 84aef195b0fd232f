"""Messages for invalid values.

Task parameters, job files and responses are validated by pydantic; all its errors become Problems here. An error has
the same text in a 400 of the sandbox, in a rejects file and in the message about a job file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError


@dataclass(frozen=True, slots=True)
class Problem:
    """One invalid value: its field ("" for a problem of several fields), the reason, and how to fix it.

    >>> str(Problem("submit.concurrency", "got 0", "use at least 1"))
    'submit.concurrency: got 0; use at least 1'
    """

    field: str
    reason: str
    fix: str

    def __str__(self) -> str:
        prefix = f"{one_line(self.field)}: " if self.field else ""  # a reason about several fields names them
        return f"{prefix}{self.reason}; {self.fix}"


def validation_error(reason: str, fix: str) -> PydanticCustomError:
    """Return the error to raise in a pydantic validator."""
    return PydanticCustomError("validation_error", "{reason}", {"reason": reason, "fix": fix})


def problems(error: ValidationError) -> list[Problem]:
    """Return the problems in a pydantic error, in the order of validation."""
    return [_problem(detail) for detail in error.errors(include_url=False)]


def abbreviate(value: Any, limit: int = 60) -> str:
    """Return the repr of a value for a message: on one line, of limited length."""
    return one_line(repr(value), limit)


def one_line(text: str, limit: int = 200) -> str:
    """Return an untrusted text for a message: on one line, of limited length, without terminal control characters.

    >>> one_line("a\\x1b[1m\\nb")
    'a\\\\x1b[1m b'
    """
    text = " ".join(text[: limit * 8].split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def printable(text: str) -> str:
    """Return an untrusted text for a terminal: complete, its lines kept, without terminal control characters.

    >>> printable("a\\x1b[1m\\nb")
    'a\\\\x1b[1m\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def escape_markdown(text: str) -> str:
    """Return an untrusted text as Markdown that shows it literally: on one line, without links, images or HTML.

    >>> escape_markdown("[a](javascript:b) img_1")
    '\\\\[a\\\\](javascript:b) img_1'
    """
    return _MARKDOWN.sub(r"\\\g<0>", printable(" ".join(text.split())))


# A colon before // and a dot after www: an address becomes a link without any brackets.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~#!&$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE)

_EXPECTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}


_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _problem(detail: ErrorDetails) -> Problem:
    field = _path(detail["loc"])
    kind, context, value = detail["type"], detail.get("ctx", {}), abbreviate(detail["input"])
    if kind == "validation_error":
        return Problem(field, context["reason"], context["fix"])
    if kind == "missing":
        return Problem(field, "is required and was not given", f"give `{field}` a value")
    if kind == "extra_forbidden":
        return Problem(field, "is not a known key", "remove it, or correct its spelling")
    if kind in ("literal_error", "enum"):
        return Problem(field, f"got {value}", f"use one of {context['expected']}")
    if kind in _BOUNDS:
        key, comparison = _BOUNDS[kind]
        return Problem(field, f"got {value}", f"use {comparison} {context[key]}")
    if kind in _EXPECTED:
        return Problem(field, f"got {value}", f"use {_EXPECTED[kind]}")
    return Problem(field, f"got {value}", _sentence(detail["msg"]))


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for key in location:
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else str(key)
    return one_line(path)


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]
