"""Parquet: the columns and types are the file's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.manifests.format import FormatError, ManifestFormat, ParsedManifest, check_unique_columns
from labelflow.problems import Problem, abbreviate, one_line
from labelflow.records import ManifestRow

BATCH_ROWS = 1000


def _read(file: BinaryIO) -> ParsedManifest:
    try:
        table = pq.ParquetFile(file)
        schema = table.schema_arrow
        names = schema.names
    except (ValueError, OSError) as error:
        reason = f"is no readable Parquet file ({one_line(str(error)).rstrip('.')})"
        raise FormatError(reason, "write it again; it may have been cut off") from None
    check_unique_columns(names)
    return ParsedManifest(_rows(table), names, schema)


def _rows(table: pq.ParquetFile) -> Iterator[ManifestRow]:
    number = 0
    for batch in table.iter_batches(batch_size=BATCH_ROWS):
        for row in _rows_of(batch, number):
            number = row.number
            yield row


def _rows_of(batch: pa.RecordBatch, number: int) -> Iterator[ManifestRow]:
    """The rows of a batch; a text that is no UTF-8 costs its own row only."""
    try:
        for offset, values in enumerate(batch.to_pylist(), 1):
            yield ManifestRow(number + offset, values)
    except (ValueError, OverflowError):
        for offset in range(1, batch.num_rows + 1):
            yield _row(batch.slice(offset - 1, 1), number + offset)


def _row(batch: pa.RecordBatch, number: int) -> ManifestRow:
    try:
        return ManifestRow(number, batch.to_pylist()[0])
    except (ValueError, OverflowError) as error:
        reason = f"holds a value that cannot be read ({abbreviate(str(error))})"
        return ManifestRow(number, {}, Problem("(row)", reason, "mend the value, or remove the row"))


FORMAT = ManifestFormat((".parquet",), _read)
