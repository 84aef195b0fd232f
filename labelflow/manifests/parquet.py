"""Parquet: columns and types are those of the file."""

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
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        names = schema.names
    except (ValueError, OSError) as error:
        reason = f"is not a readable Parquet file ({one_line(str(error)).rstrip('.')})"
        raise FormatError(reason, "write it again; it may be truncated") from None
    check_unique_columns(names)
    return ParsedManifest(_rows(parquet), names, schema)


def _rows(parquet: pq.ParquetFile) -> Iterator[ManifestRow]:
    number = 0
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
        for row in _batch_rows(batch, number):
            number = row.number
            yield row


def _batch_rows(batch: pa.RecordBatch, number: int) -> Iterator[ManifestRow]:
    """The rows of a batch; an invalid value, such as a string that is not UTF-8, rejects only its row."""
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
        reason = f"has a value that cannot be read ({abbreviate(str(error))})"
        return ManifestRow(number, {}, Problem("(row)", reason, "fix the value, or remove the row"))


FORMAT = ManifestFormat((".parquet",), _read)
