"""What the three manifests share: the numbers that a demo can rely on, and rows that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is wrong on purpose: its place in the manifest (from 0), its id there, and what is wrong."""

    index: int
    row_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a manifest holds: how many rows in all, and which of them can not be labeled."""

    rows: int
    bad_rows: tuple[BadRow, ...]


def with_bad_rows(good: Iterable[Row], bad: Iterable[tuple[BadRow, Row]]) -> list[Row]:
    """The good rows in their order, with each bad one at its place. `bad` is in order of place."""
    rows = list(good)
    for described, row in bad:
        rows.insert(described.index, row)
    return rows
