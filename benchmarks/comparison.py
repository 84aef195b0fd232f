"""What a comparison is: a file in comparisons/ that declares one. It is found by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import comparisons
from benchmarks.bench import BenchContext
from benchmarks.statistics import (
    Figure,
    Range,
    SeriesByName,
    difference,
    figure_range,
    overhead,
    peak,
    rate,
    ratio,
    request_count,
    seconds,
)

Reading = Callable[[SeriesByName], Range]  # lines are named as `measure` names them


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised, and how the figure is read out of the lines."""

    description: str
    read: Reading
    minimum: float | None = None
    maximum: float | None = None

    def is_met(self, found: Range) -> bool:
        """Whether the median keeps it."""
        enough = self.minimum is None or found.median >= self.minimum
        return enough and (self.maximum is None or found.median <= self.maximum)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: a figure of each run, shown as median and range."""

    header: str
    figure: Figure


SPEED_COLUMNS = (
    Column("seconds", seconds),
    Column("rows/s", rate),
    Column("start and end, s", overhead),
    Column("peak MB", peak),
)
REQUEST_COLUMNS = (*SPEED_COLUMNS, Column("requests", request_count))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides that are measured in turn. about: how, in Markdown, below the title."""

    title: str
    about: str
    measure: Callable[[BenchContext], SeriesByName]
    targets: tuple[Target, ...] = ()
    columns: tuple[Column, ...] = SPEED_COLUMNS


def figure_of(name: str, figure: Figure) -> Reading:
    """A figure of one side."""
    return lambda lines: figure_range(lines[name], figure)


def ratio_of(name: str, other: str, figure: Figure = rate) -> Reading:
    """How many times as fast (or as large) one side is as another."""
    return lambda lines: ratio(lines[name], lines[other], figure)


def difference_of(name: str, other: str, figure: Figure) -> Reading:
    """By how much one side's figure is above another's."""
    return lambda lines: difference(lines[name], lines[other], figure)


def all_comparisons() -> dict[str, Comparison]:
    """Those in the folder, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(comparisons.__path__))
    return {name: importlib.import_module(f"{comparisons.__name__}.{name}").COMPARISON for name in names}
