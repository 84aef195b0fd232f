"""A chunk: the rows of one Prefect task run."""

from __future__ import annotations

from labelflow.records import ManifestRow

CHUNK_ROWS = 1000  # maximum number of rows in a chunk


class Chunk:
    """Rows of the manifest to submit. Not a list: Prefect searches lists in task parameters for futures, row by row."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[ManifestRow]) -> None:
        self.rows = rows
