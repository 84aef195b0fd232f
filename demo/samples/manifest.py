"""Types that the three data sets share: row counts and intentionally invalid rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class BadRow:
    """An intentionally invalid row: its index in the manifest (from 0), its id there, and the reason."""

    index: int
    row_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """Contents of a manifest: the number of rows, and those that cannot be labeled."""

    rows: int
    bad_rows: tuple[BadRow, ...]


def with_bad_rows(good: Iterable[Row], bad: Iterable[tuple[BadRow, Row]]) -> list[Row]:
    """The good rows in order, with each bad row inserted at its index. `bad` is sorted by index."""
    rows = list(good)
    for bad_row, row in bad:
        rows.insert(bad_row.index, row)
    return rows
