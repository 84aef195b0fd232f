"""JSON values in declared Arrow types."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from labelflow.tables.conforming import to_column

TEXTS = pa.list_(pa.string())
STRUCT = pa.struct([("a", pa.float64()), ("b", TEXTS)])
MAP = pa.map_(pa.string(), pa.string())


@pytest.mark.parametrize(
    ("arrow_type", "values", "stored"),
    [
        (pa.string(), ["a", None, 2, True, {"x": [1]}, ["one"], ["a", "b"], []],
         ["a", None, "2", "true", '{"x":[1]}', "one", '["a","b"]', "[]"]),
        (pa.float64(), [1, 2.5, "3", "x", True, [4], {}, 10**400, "nan", 2**60 + 1],
         [1.0, 2.5, 3.0, None, None, 4.0, None, None, None, float(2**60)]),
        (pa.int64(), [1, 2.0, "3", 2.5, 2**70, "x"], [1, 2, 3, None, None, None]),
        (pa.bool_(), [True, "false", "Yes", "perhaps", 1], [True, False, True, None, None]),
        (TEXTS, [["a", 1], "a", None, [None]], [["a", "1"], ["a"], None, [None]]),
        (STRUCT, [{"a": "1", "b": "x", "c": 1}, {}, [], "x"],
         [{"a": 1.0, "b": ["x"]}, {"a": None, "b": None}, None, None]),
        (MAP, [{"a": 1}, {}, None, "x"], [[("a", "1")], [], None, None]),
        (pa.list_(MAP), [[{"a": "b"}, None]], [[[("a", "b")], None]]),
    ],
)  # fmt: skip
def test_value_that_does_not_fit_is_converted_or_null(arrow_type: pa.DataType, values: Any, stored: Any) -> None:
    assert to_column(values, arrow_type).to_pylist() == stored


def test_values_that_fit_are_not_changed() -> None:
    values: list[Any] = [{"a": 1.5, "b": ["x", "y"]}, None, {"a": None, "b": []}]
    assert to_column(values, STRUCT).to_pylist() == values


def test_text_is_not_a_list_of_its_characters() -> None:
    assert to_column(["calm", ["angry"]], TEXTS).to_pylist() == [["calm"], ["angry"]]
    in_struct = pa.struct([("colors", TEXTS)])
    assert to_column([{"colors": "red"}], in_struct).to_pylist() == [{"colors": ["red"]}]
