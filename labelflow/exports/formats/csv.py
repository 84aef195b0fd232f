"""CSV: one line per box, word or category, for a spreadsheet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from labelflow.exports.export_format import ExportCounts, ExportFormat, ExportSettings, Writer
from labelflow.exports.items import item_columns, to_items


class CsvWriter(Writer):
    """Writes `labels.csv`, or a file named after the part. UTF-8 with a header; an empty cell is null."""

    def __init__(self, settings: ExportSettings, part: str, folder: Path) -> None:
        self._path = folder / f"{part if part != 'all' else 'labels'}.csv"
        self._writer: pyarrow.csv.CSVWriter | None = None
        self._header = to_items(settings.schema.empty_table().select(item_columns(settings.schema)), ExportCounts())

    def write(self, labels: pa.Table, counts: ExportCounts) -> None:
        self._open(to_items(labels, counts))

    def finish(self) -> list[Path]:
        self._open(self._header).close()
        return [self._path]

    def _open(self, table: pa.Table) -> pyarrow.csv.CSVWriter:
        self._writer = self._writer or pyarrow.csv.CSVWriter(self._path, table.schema)
        if len(table):
            self._writer.write_table(table)
        return self._writer


FORMAT = ExportFormat("csv", (), item_columns, CsvWriter)
