"""The interface of a manifest format: its file suffixes, and how to read its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from labelflow.problems import abbreviate
from labelflow.records import ManifestRow


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """A manifest that is being read.

    rows: can be iterated once.
    columns: the column names, None if they are known only from the rows.
    schema: the Arrow types of the columns, None if they must be inferred from the values.
    """

    rows: Iterator[ManifestRow]
    columns: list[str] | None
    schema: pa.Schema | None


@dataclass(frozen=True, slots=True)
class ManifestFormat:
    """A format. Each module of this package assigns one to FORMAT.

    suffixes: of its files, in lower case, with the dot.
    read: parses an open file; raises FormatError, also while rows are read, if it is not a file of this format.
    """

    suffixes: tuple[str, ...]
    read: Callable[[BinaryIO], ParsedManifest]


def check_unique_columns(names: list[str]) -> None:
    """Raise FormatError if two columns have the same name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise FormatError(f"has two columns named {abbreviate(repeated[0])}", "give each column a unique name")


class FormatError(ValueError):
    """The content of a file does not match its suffix: what is wrong, and how to fix it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix
