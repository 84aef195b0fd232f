"""The interface of a manifest format: its file suffixes, and how to read its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import pyarrow as pa

from labelflow.problems import Problem, abbreviate
from labelflow.records import ManifestRow

MAX_ROW_BYTES = 4 << 20  # of a row in the manifest; a thousand rows are in memory at once, or fewer large ones
REMARK = b"labelflow.remark"  # in the metadata of a schema: for messages about missing columns
MAX_TEXT = 1000  # characters kept of a row that is too large


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """A manifest that is being read.

    rows: can be iterated once.
    columns: the column names, None if they are known only from the rows.
    schema: the Arrow types of the columns, None if they must be inferred from the values. Its metadata may have a
        remark on how the columns were found, under REMARK.
    """

    rows: Iterator[ManifestRow]
    columns: list[str] | None
    schema: pa.Schema | None


@dataclass(frozen=True, slots=True)
class ManifestFormat:
    """A format. Each module of `labelflow.manifests.formats` assigns one to FORMAT.

    suffixes: of its files, in lower case, with the dot.
    matches: whether the first bytes of a file are of this format; asked if no format has the suffix of the file.
    read: parses an open file, whose first row gets the given number. Raises FormatError, also while rows are read, if
    it is not a file of this format.
    """

    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    read: Callable[[BufferedReader, int], ParsedManifest]


def check_unique_columns(names: list[str]) -> None:
    """Raise FormatError if two columns have the same name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise FormatError(f"has two columns named {abbreviate(repeated[0])}", "give each column a unique name")


def row_too_large(number: int, field: str, values: Mapping[str, Any], text: str | None = None) -> ManifestRow:
    """Return a row that is too large to be read. values: those that are known. text: how it starts."""
    reason = f"is larger than {MAX_ROW_BYTES >> 20} MiB"
    fix = "shorten it: put large content into a file, and its URL into the row"
    return ManifestRow(number, values, Problem(field, reason, fix), text and text[:MAX_TEXT])


class FormatError(ValueError):
    """The content of a file does not match its suffix: what is wrong, and how to fix it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix
