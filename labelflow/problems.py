"""What is wrong with a value, in words that a person can act on.

Every check of a task's parameters, of a job file and of a response ends here, so that one mistake reads the
same in a 400 of the sandbox, in a rejects file and in the message about a config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the field, what was wrong, what would be right."""

    field: str
    reason: str
    fix: str

    def __str__(self) -> str:
        where = f"{one_line(self.field)}: " if self.field else ""  # a problem of several fields names them itself
        return f"{where}{self.reason}; {self.fix}"


def validation_error(reason: str, fix: str) -> PydanticCustomError:
    """The error to raise in a validator: what was wrong, and what would be right."""
    return PydanticCustomError("wrong", "{reason}", {"reason": reason, "fix": fix})


def problems(error: ValidationError) -> list[Problem]:
    """The problems behind a pydantic error, in the order in which they were found."""
    return [_problem(detail) for detail in error.errors(include_url=False)]


def abbreviate(value: Any, limit: int = 60) -> str:
    """A value as a message shows it: short, on one line."""
    return one_line(repr(value), limit)


def one_line(text: str, limit: int = 200) -> str:
    """A text made by anyone as a message shows it: short, on one line, nothing that a terminal would act on."""
    text = " ".join(text[: limit * 8].split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


_EXPECTED = {
    "string_type": "a text",
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
    kind, context, given = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "wrong":
        return Problem(field, context["reason"], context["fix"])
    if kind == "missing":
        return Problem(field, "is required and was not given", f"give `{field}` a value")
    if kind == "extra_forbidden":
        return Problem(field, "is not a known key", "remove it, or correct its spelling")
    if kind in ("literal_error", "enum"):
        return Problem(field, f"was {abbreviate(given)}", f"use one of {context['expected']}")
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return Problem(field, f"was {abbreviate(given)}", f"use {words} {context[key]}")
    if kind in _EXPECTED:
        return Problem(field, f"was {abbreviate(given)}", f"use {_EXPECTED[kind]}")
    return Problem(field, f"was {abbreviate(given)}", _sentence(detail["msg"]))


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return one_line(path)


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]
