"""The sizes of rows in Arrow's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Sizes = NDArray[np.int64]
REFERENCE = 8  # bytes; also a null and a number need it


def slices(sizes: Sizes, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Divide rows of these sizes into slices of at most `max_bytes`, or of one row. Yields the start and the end."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + max_bytes, side="right")))
        yield start, stop
        start = stop


def value_sizes(array: pa.Array[Any]) -> Sizes:
    """Return the number of bytes of each value. One that several rows share, as in a dictionary, counts for each."""
    kind = array.type
    if _has_fixed_size(kind):
        return np.full(len(array), _fixed_size(kind), np.int64)
    if isinstance(array, pa.ExtensionArray):
        return value_sizes(array.storage)
    if isinstance(array, pa.DictionaryArray):
        sizes = np.append(value_sizes(array.dictionary), REFERENCE)
        return np.take(sizes, array.indices.fill_null(len(sizes) - 1).to_numpy(zero_copy_only=False))
    if isinstance(array, pa.StructArray):
        fields = [value_sizes(array.field(index)) for index in range(kind.num_fields)]
        return sum(fields, np.full(len(array), REFERENCE, np.int64))
    if isinstance(array, pa.ListArray | pa.LargeListArray | pa.MapArray):
        offsets = array.offsets.to_numpy()
        if _has_fixed_size(array.values.type):
            return np.diff(offsets).astype(np.int64) * _fixed_size(array.values.type) + REFERENCE
        ends = np.append(0, np.cumsum(value_sizes(array.values)))
        return np.asarray(ends[offsets[1:]] - ends[offsets[:-1]] + REFERENCE)
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        lengths = pc.binary_length(cast(pa.StringArray, array)).fill_null(0)
        return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64) + REFERENCE
    return np.full(len(array), max(REFERENCE, array.nbytes // max(1, len(array))), np.int64)


def _has_fixed_size(kind: pa.DataType) -> bool:
    return pa.types.is_primitive(kind) or pa.types.is_null(kind)


def _fixed_size(kind: pa.DataType) -> int:
    return REFERENCE if pa.types.is_null(kind) else max(REFERENCE, kind.bit_width // 8)
