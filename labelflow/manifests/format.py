"""What a manifest format is: which files are of it, and how their rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from labelflow.problems import abbreviate
from labelflow.records import ManifestRow


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """A manifest being read.

    columns: the names of its columns, None where only the rows tell.
    schema: the Arrow types of its columns, None where only the values tell.
    """

    rows: Iterator[ManifestRow]
    columns: list[str] | None
    schema: pa.Schema | None


@dataclass(frozen=True, slots=True)
class ManifestFormat:
    """Files with one of these suffixes are read so. `read` raises FormatError for others."""

    suffixes: tuple[str, ...]
    read: Callable[[BinaryIO], ParsedManifest]


def check_unique_columns(names: list[str]) -> None:
    """Raises FormatError where two columns bear one name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise FormatError(f"has the column {abbreviate(repeated[0])} twice", "give each column a name of its own")


class FormatError(ValueError):
    """The file is not what its suffix says."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix
