"""Templates in a job's task: `{column}` is compiled when the config is read, and filled in for each row.

A string that is a single template keeps the type of the value: a list column stays a list. In a longer string the value
becomes text; a list, an object or a boolean becomes JSON. `{{` and `}}` are literal braces; `{}` is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labelflow.lenient_json import dump_json
from labelflow.problems import Problem
from labelflow.tables.storable_types import to_json_value

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_LITERAL = {"{{": "{", "}}": "}"}
Row = Mapping[str, Any]


class TemplateError(Exception):
    """A row has no value for a template."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled value of the task. `columns` are the columns that it uses; `fill` returns the value for a row."""

    columns: tuple[str, ...]
    fill: Callable[[Row], Any]


def compile_template(value: Any) -> Template:
    """Compile a string, or a nested list or mapping of strings.

    >>> compile_template({"text": "{a}: {b}"}).fill({"a": 1, "b": "x"})
    {'text': '1: x'}
    """
    if isinstance(value, str):
        return _compile_text(value)
    if isinstance(value, list):
        items = [compile_template(item) for item in value]
        return Template(_columns(items), lambda row: [item.fill(row) for item in items])
    if isinstance(value, dict):
        entries = {key: compile_template(item) for key, item in value.items()}
        columns = _columns(entries.values())
        return Template(columns, lambda row: {key: entry.fill(row) for key, entry in entries.items()})
    return Template((), lambda row: value)


def _columns(parts: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for part in parts for column in part.columns))


def _compile_text(text: str) -> Template:
    pieces = list(_pieces(text))
    columns = tuple(dict.fromkeys(column for _, column in pieces if column))
    if not columns:
        plain = "".join(literal for literal, _ in pieces)
        return Template((), lambda row: plain)
    if len(pieces) == 1:
        return Template(columns, lambda row: _value(row, columns[0]))
    return Template(columns, lambda row: "".join(_as_text(row, part) for part in pieces))


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Split a text into pieces (literal, None) and ("", column), in order."""
    end = 0
    for match in _PIECE.finditer(text):
        if match.start() > end:
            yield text[end : match.start()], None
        column = (match[1] or "").strip()
        yield ("", column) if column else (_LITERAL.get(match[0], match[0]), None)
        end = match.end()
    if end < len(text):
        yield text[end:], None


def _value(row: Row, column: str) -> Any:
    """Return a column's value; None if the row has the column without a value."""
    if column not in row:
        fix = f"give the row a `{column}`, or remove it"
        raise TemplateError(Problem(column, "is missing from the row", fix))
    return row[column]


def _as_text(row: Row, piece: tuple[str, str | None]) -> str:
    literal, column = piece
    if column is None:
        return literal
    try:
        value = to_json_value(_value(row, column))
    except TypeError as error:
        raise TemplateError(Problem(column, f"is {error}", "use a text or a number")) from None
    if value is None:
        raise TemplateError(Problem(column, "is null", "give it a value, or remove the row"))
    return value if isinstance(value, str) else dump_json(value).decode()
