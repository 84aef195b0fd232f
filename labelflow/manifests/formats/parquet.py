"""Parquet: columns and types are those of the file.

A small file may contain large rows: a dictionary holds a text once for all rows, and runs of equal values are counted.
So texts are read as dictionaries, and only a few rows at a time become Python objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.manifests.arrow_row_sizes import Sizes, slices, value_sizes
from labelflow.manifests.compression import as_seekable
from labelflow.manifests.format import (
    MAX_ROW_BYTES,
    FormatError,
    ManifestFormat,
    ParsedManifest,
    check_unique_columns,
    row_too_large,
)
from labelflow.problems import Problem, abbreviate, one_line
from labelflow.records import ManifestRow

BATCH_ROWS = 16_384  # a batch contains the dictionaries of its columns: few rows would be slow
BATCH_BYTES = 16 << 20  # decoded at once
READ_BYTES = 4 << 20  # of each column, read from the file at once
PAGE_ROWS = 1024  # writers end a page after this number of values at the earliest
MAX_DECODED_BYTES = 512 << 20  # of a column, decoded at once because the file allows nothing smaller
MAX_EXPANSION = (
    20  # of a list column that is larger than MAX_DECODED_BYTES: its decoded size divided by that in the file
)
KEPT_VALUE_BYTES = 1000  # a smaller value of a row that is too large is kept, above all its id
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}


def _read(file: BufferedReader, first: int) -> ParsedManifest:
    file = as_seekable(file)
    try:
        parquet = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")  # nanoseconds end in 2262
        schema = parquet.schema_arrow
        names = schema.names
        compact = pq.ParquetFile(
            file,
            metadata=parquet.metadata,
            read_dictionary=_dictionaries(parquet),
            buffer_size=READ_BYTES,
            coerce_int96_timestamp_unit="us",
        )
    except (ValueError, OSError) as error:
        reason = f"is not a readable Parquet file ({one_line(str(error)).rstrip('.')})"
        raise FormatError(reason, "write it again; it may be truncated") from None
    check_unique_columns(names)
    for field in schema:
        _check_time_zones(field.name, field.type)
    return ParsedManifest(_rows(compact, schema, first - 1), names, schema)


def _check_time_zones(column: str, kind: pa.DataType) -> None:
    """Raises FormatError if times of a column, nested ones too, have a time zone that this machine does not know."""
    if pa.types.is_timestamp(kind) and kind.tz:
        try:
            pa.scalar(0, kind).as_py()
        except (LookupError, ValueError):
            reason = f"the column {abbreviate(column)} has the time zone {abbreviate(kind.tz)}, which is unknown"
            raise FormatError(reason, "write it with a zone of the IANA database, such as UTC") from None
    if pa.types.is_dictionary(kind):
        _check_time_zones(column, kind.value_type)
    for index in range(kind.num_fields):
        _check_time_zones(column, kind.field(index).type)


def _dictionaries(parquet: pq.ParquetFile) -> list[str]:
    """The columns that are stored as dictionaries, and so can be read as such."""
    groups = [parquet.metadata.row_group(index) for index in range(parquet.metadata.num_row_groups)]
    columns = [parquet.schema.column(index) for index in range(len(parquet.schema))]
    return [
        column.path
        for index, column in enumerate(columns)
        if column.physical_type == "BYTE_ARRAY" and all(_is_dictionary(group.column(index)) for group in groups)
    ]


def _is_dictionary(chunk: pq.ColumnChunkMetaData) -> bool:
    encodings = set(chunk.encodings)
    return bool(encodings & {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}) and not _is_delta(chunk)


def _is_delta(chunk: pq.ColumnChunkMetaData) -> bool:
    return any(encoding.startswith("DELTA") for encoding in chunk.encodings)


def _rows(parquet: pq.ParquetFile, schema: pa.Schema, number: int) -> Iterator[ManifestRow]:
    """The rows of a file. number: of the row before its first one."""
    for group in range(parquet.metadata.num_row_groups):
        for batch in parquet.iter_batches(_batch_size(parquet, group), row_groups=[group], use_threads=False):
            yield from _batch_rows(batch, schema, number)
            number += batch.num_rows


def _batch_size(parquet: pq.ParquetFile, index: int) -> int:
    """How many rows of a row group to read at once. Raises FormatError if even a few would take too much memory."""
    group, size = parquet.metadata.row_group(index), 1
    for position in range(group.num_columns):
        column, chunk = parquet.schema.column(position), group.column(position)
        decoded = chunk.total_uncompressed_size + chunk.num_values * (
            _WIDTHS.get(column.physical_type) or column.length or 0
        )
        is_list = column.max_repetition_level > 0
        at_once = decoded if is_list else decoded * PAGE_ROWS // max(PAGE_ROWS, chunk.num_values)
        if at_once > MAX_DECODED_BYTES and not (is_list and decoded < MAX_EXPANSION * chunk.total_compressed_size):
            reason = (
                f"the column {abbreviate(column.path)} takes {at_once >> 20:,} MiB of memory in row group {index + 1}"
            )
            raise FormatError(reason, f"write row groups of fewer rows; the maximum is {MAX_DECODED_BYTES >> 20} MiB")
        # With delta encoding, each value may repeat all bytes of the one before.
        size += decoded * group.num_rows if _is_delta(chunk) and column.physical_type == "BYTE_ARRAY" else decoded
    return max(1, min(BATCH_ROWS, BATCH_BYTES * group.num_rows // size))


def _batch_rows(batch: pa.RecordBatch, schema: pa.Schema, number: int) -> Iterator[ManifestRow]:
    """The rows of a batch, a few at a time; a row that is too large is rejected."""
    columns = [value_sizes(column) for column in batch.columns]
    sizes = sum(columns, np.zeros(batch.num_rows, np.int64))
    for start, stop in slices(sizes, MAX_ROW_BYTES):
        part = batch.slice(start, stop - start)
        if sizes[start] > MAX_ROW_BYTES:
            yield _large_row(part, [column[start] for column in columns], number + stop)
        else:
            yield from _part_rows(_without_dictionaries(part, schema), number + start, sizes[start:stop])


def _large_row(row: pa.RecordBatch, sizes: list[np.int64], number: int) -> ManifestRow:
    small = [name for name, size in zip(row.schema.names, sizes, strict=True) if size <= KEPT_VALUE_BYTES]
    return row_too_large(number, "(row)", _row(row.select(small), number, 0).values)


def _without_dictionaries(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with the types of the file: its texts are converted much faster."""
    columns = [_cast(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema.names)


def _cast(column: pa.Array[Any], kind: pa.DataType) -> pa.Array[Any]:
    try:
        return column.cast(kind)
    except pa.ArrowException:  # there is no such cast
        return column


def _part_rows(batch: pa.RecordBatch, number: int, sizes: Sizes) -> Iterator[ManifestRow]:
    """The rows of a batch; an invalid value, such as a string that is not UTF-8, rejects only its row."""
    sized = enumerate(sizes.tolist(), 1)
    try:
        for (offset, size), values in zip(sized, batch.to_pylist(), strict=True):
            yield ManifestRow(number + offset, values, size=size)
    except (ValueError, OverflowError):
        for offset, size in enumerate(sizes.tolist(), 1):
            yield _row(batch.slice(offset - 1, 1), number + offset, size)


def _row(batch: pa.RecordBatch, number: int, size: int) -> ManifestRow:
    try:
        return ManifestRow(number, batch.to_pylist()[0], size=size)
    except (ValueError, OverflowError) as error:
        reason = f"has a value that cannot be read ({abbreviate(str(error))})"
        return ManifestRow(number, {}, Problem("(row)", reason, "fix the value, or remove the row"))


def _matches(head: bytes) -> bool:
    return head.startswith(b"PAR1")


FORMAT = ManifestFormat((".parquet",), _matches, _read)
