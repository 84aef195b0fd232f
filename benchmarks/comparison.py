"""Comparisons and their targets. Every module in comparisons/ declares one as `COMPARISON`."""

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

Reading = Callable[[SeriesByName], Range]  # keys are those that `measure` returns


@dataclass(frozen=True, slots=True)
class Target:
    """A target, and how its figure is computed from the series."""

    description: str
    read: Reading
    minimum: float | None = None
    maximum: float | None = None

    def is_met(self, measured: Range) -> bool:
        """Whether the median meets the target."""
        is_high_enough = self.minimum is None or measured.median >= self.minimum
        return is_high_enough and (self.maximum is None or measured.median <= self.maximum)


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: a figure of each run, shown as median and range."""

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
    """Contenders that are measured in turn. about: the method, in Markdown."""

    title: str
    about: str
    measure: Callable[[BenchContext], SeriesByName]
    targets: tuple[Target, ...] = ()
    columns: tuple[Column, ...] = SPEED_COLUMNS


def figure_of(name: str, figure: Figure) -> Reading:
    """A figure of one contender."""
    return lambda series: figure_range(series[name], figure)


def ratio_of(name: str, other: str, figure: Figure = rate) -> Reading:
    """Ratio of the figures of two contenders; default: of their rates."""
    return lambda series: ratio(series[name], series[other], figure)


def difference_of(name: str, other: str, figure: Figure) -> Reading:
    """Difference between the figures of two contenders."""
    return lambda series: difference(series[name], series[other], figure)


def all_comparisons() -> dict[str, Comparison]:
    """The comparisons in the folder, by module name."""
    names = sorted(module.name for module in pkgutil.iter_modules(comparisons.__path__))
    return {name: importlib.import_module(f"{comparisons.__name__}.{name}").COMPARISON for name in names}
