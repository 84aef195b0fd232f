"""Templates: `{column}` in a task."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from labelflow.jobs.templates import TemplateError, compile_template

ROW = {"a": [1, 2], "b": "x", "n": 7, "none": None, "two words": "y"}


@pytest.mark.parametrize(
    ("template", "filled", "columns"),
    [
        ("{a}", [1, 2], ("a",)),
        ("{none}", None, ("none",)),
        ("{b}-{n}", "x-7", ("b", "n")),
        ("{two words}!", "y!", ("two words",)),
        ("{{b}} and {b}", "{b} and x", ("b",)),
        ("{{}}", "{}", ()),
        ({"k": ["{n}", {"{b}": "{b}"}]}, {"k": [7, {"{b}": "x"}]}, ("n", "b")),
        (3, 3, ()),
        ("", "", ()),
    ],
)
def test_template_is_filled_in(template: Any, filled: Any, columns: tuple[str, ...]) -> None:
    compiled = compile_template(template)
    assert compiled.fill(ROW) == filled
    assert compiled.columns == columns


@pytest.mark.parametrize(
    ("template", "reason"), [("{c}", "is missing"), ("x{c}", "is missing"), ("x{none}", "is null")]
)
def test_missing_column_is_named(template: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason) as caught:
        compile_template(template).fill(ROW)
    assert caught.value.problem.field in ("c", "none")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["p", "q"], '["p","q"]'),
        (True, "true"),
        ({"x": 1.5}, '{"x":1.5}'),
        ([("a", 1)], '{"a":1}'),
        ("café".encode(), "café"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(hours=1), "PT1H"),
        (1, "1"),
    ],
)
def test_value_in_a_text_is_text_or_json_and_never_a_python_literal(value: object, text: str) -> None:
    assert compile_template("<{a}>").fill({"a": value}) == f"<{text}>"


@pytest.mark.parametrize(
    ("value", "reason"), [(b"\xff", "binary data"), (object(), "of the type object"), (float("nan"), "null")]
)
def test_value_that_has_no_text_is_a_problem_of_its_column(value: object, reason: str) -> None:
    with pytest.raises(TemplateError, match=f"a: is .*{reason}"):
        compile_template("<{a}>").fill({"a": value})
