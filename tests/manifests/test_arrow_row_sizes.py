"""The sizes of rows in Arrow's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from labelflow.manifests.arrow_row_sizes import slices, value_sizes

ARRAYS: list[tuple[Any, list[int]]] = [
    (pa.array(["abc", None, ""]), [11, 8, 8]),
    (pa.array(["abc", None, "abc"]).dictionary_encode(), [11, 8, 11]),
    (pa.array([1, None, 3]), [8, 8, 8]),
    (pa.array([[1, 2], None, []]), [24, 8, 8]),
    (pa.array([["a", "bc"], None, []]), [27, 8, 8]),
    (pa.array([{"a": "x", "b": 1}, None]), [25, 24]),
    (pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())), [34, 8]),
    (pa.nulls(2), [8, 8]),
    (pa.array([True, None]), [8, 8]),
]


@pytest.mark.parametrize(("array", "sizes"), ARRAYS)
def test_size_of_each_value(array: pa.Array[Any], sizes: list[int]) -> None:
    assert value_sizes(array).tolist() == sizes


def test_rows_are_divided_by_bytes() -> None:
    assert list(slices(np.array([3, 3, 9, 1, 1, 4]), 6)) == [(0, 2), (2, 3), (3, 6)]
    assert list(slices(np.array([], np.int64), 6)) == []
