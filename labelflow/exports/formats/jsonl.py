"""JSON Lines: the lines of `csv` as objects, with the types of the labels."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa

from labelflow.exports.export_format import ExportCounts, ExportFormat, ExportSettings, Writer
from labelflow.exports.items import item_columns, to_items


class JsonlWriter(Writer):
    """Writes `labels.jsonl`, or a file named after the part. Nulls are left out."""

    def __init__(self, settings: ExportSettings, part: str, folder: Path) -> None:
        self._path = folder / f"{part if part != 'all' else 'labels'}.jsonl"
        self._file = self._path.open("wb")

    def write(self, labels: pa.Table, counts: ExportCounts) -> None:
        for row in to_items(labels, counts).to_pylist():
            line = {name: value for name, value in row.items() if value is not None}
            self._file.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))

    def finish(self) -> list[Path]:
        self._file.close()
        return [self._path]


FORMAT = ExportFormat("jsonl", (), item_columns, JsonlWriter)
