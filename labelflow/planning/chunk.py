"""A chunk: the rows of one Prefect task run."""

from __future__ import annotations

from collections.abc import Iterator

from labelflow.batches import next_batch
from labelflow.records import ManifestRow

CHUNK_ROWS = 1000  # maximum number of rows in a chunk
CHUNK_BYTES = 16 << 20  # fewer rows, if they are large


class Chunk:
    """Rows of the manifest to submit. Not a list: Prefect searches lists in task parameters for futures, row by row."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[ManifestRow]) -> None:
        self.rows = rows


def next_rows(rows: Iterator[ManifestRow]) -> list[ManifestRow]:
    """Take the rows of the next chunk; empty if there are no more."""
    return next_batch(rows, lambda row: row.size, CHUNK_ROWS, CHUNK_BYTES)
