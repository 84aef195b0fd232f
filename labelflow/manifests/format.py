"""What a manifest format is: which files are of it, and how their rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from labelflow.problems import shown
from labelflow.records import ManifestRow


@dataclass(frozen=True, slots=True)
class Reading:
    """A manifest being read.

    columns: the names of its columns, None where only the rows tell.
    schema: the Arrow types of its columns, None where only the values tell.
    """

    rows: Iterator[ManifestRow]
    columns: list[str] | None
    schema: pa.Schema | None


@dataclass(frozen=True, slots=True)
class ManifestFormat:
    """Files with one of these suffixes are read so. `read` raises NotThisFormat for others."""

    suffixes: tuple[str, ...]
    read: Callable[[BinaryIO], Reading]


def refuse_repeated(names: list[str]) -> None:
    """Raises NotThisFormat where two columns bear one name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise NotThisFormat(f"has the column {shown(repeated[0])} twice", "give each column a name of its own")


class NotThisFormat(ValueError):
    """The file is not what its suffix says."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix
