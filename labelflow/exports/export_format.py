"""The interface of an export format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from labelflow.jobs.job import Job


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What a writer needs to know. classes: in the order of their ids. schema: of labels/."""

    job: Job
    classes: list[str]
    schema: pa.Schema


@dataclass(slots=True)
class ExportCounts:
    """Numbers of one export: labels that were read, rows and items that were written, and what was left out, by reason.

    rows + omitted_rows = labels. items: boxes, words, categories.
    """

    labels: int = 0
    rows: int = 0
    items: int = 0
    omitted_rows: Counter[str] = field(default_factory=Counter)
    omitted_items: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Return the numbers with plain values."""
        omitted = {"omitted_rows": dict(self.omitted_rows), "omitted_items": dict(self.omitted_items)}
        return {"labels": self.labels, "rows": self.rows, "items": self.items, **omitted}


class Writer(ABC):
    """Writes the labels of one part of a split to files in a local folder."""

    @abstractmethod
    def write(self, labels: pa.Table, counts: ExportCounts) -> None:
        """Add labels, and count them."""

    @abstractmethod
    def finish(self) -> list[Path]:
        """Complete the files. Returns them: their names in the export are relative to the folder."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format. Each module of `labelflow.exports.formats` assigns one to FORMAT.

    name: as in `--to`. task_types: those that it can hold; empty for all.
    columns: of labels/ that it reads. open: opens a writer for a part, in a local folder.

        FORMAT = ExportFormat("coco", ("annotation",), columns, CocoWriter)
    """

    name: str
    task_types: tuple[str, ...]
    columns: Callable[[pa.Schema], list[str]]
    open: Callable[[ExportSettings, str, Path], Writer]
