"""Templates: `{column}` in a task."""

from __future__ import annotations

from typing import Any

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
