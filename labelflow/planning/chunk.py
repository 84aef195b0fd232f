"""A chunk: the rows of one Prefect task run."""

from __future__ import annotations

from labelflow.records import ManifestRow

CHUNK_ROWS = 1000


class Chunk:
    """Rows of the manifest that have no task yet. Opaque on purpose: Prefect looks into lists, row by row."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[ManifestRow]) -> None:
        self.rows = rows
