"""Parquet: the columns and types are the file's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.manifests.format import ManifestFormat, NotThisFormat, Reading
from labeling.stages import ManifestRow

BATCH_ROWS = 1000


def _read(file: BinaryIO) -> Reading:
    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        reason = f"is no readable Parquet file ({str(error).splitlines()[0].rstrip('.')})"
        raise NotThisFormat(reason, "write it again; it may have been cut off") from None
    schema = table.schema_arrow
    return Reading(_rows(table), schema.names, schema)


def _rows(table: pq.ParquetFile) -> Iterator[ManifestRow]:
    number = 0
    for batch in table.iter_batches(batch_size=BATCH_ROWS):
        for values in batch.to_pylist():
            number += 1
            yield ManifestRow(number, values)


FORMAT = ManifestFormat((".parquet",), _read)
