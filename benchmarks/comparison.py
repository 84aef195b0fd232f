"""What a comparison is: a file in comparisons/ that declares one. It is found by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import comparisons
from benchmarks.bench import Bench
from benchmarks.statistics import Figure, Lines, Spread, difference, peak, rate, ratio, requests, rest, seconds, spread

Find = Callable[[Lines], Spread]  # lines are named as `measure` names them


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised, and how the figure is read out of the lines."""

    words: str
    find: Find
    least: float | None = None
    most: float | None = None

    def is_met(self, found: Spread) -> bool:
        """Whether the median keeps it."""
        enough = self.least is None or found.median >= self.least
        return enough and (self.most is None or found.median <= self.most)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: a figure of each run, shown as median and range."""

    header: str
    figure: Figure


SPEED = (Column("seconds", seconds), Column("rows/s", rate), Column("start and end, s", rest), Column("peak MB", peak))
COUNTED = (*SPEED, Column("requests", requests))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides that are measured in turn. about: how, in Markdown, below the title."""

    title: str
    about: str
    measure: Callable[[Bench], Lines]
    targets: tuple[Target, ...] = ()
    columns: tuple[Column, ...] = SPEED


def of(name: str, figure: Figure) -> Find:
    """A figure of one side."""
    return lambda lines: spread(lines[name], figure)


def times(name: str, other: str, figure: Figure = rate) -> Find:
    """How many times as fast (or as large) one side is as another."""
    return lambda lines: ratio(lines[name], lines[other], figure)


def above(name: str, other: str, figure: Figure) -> Find:
    """By how much one side's figure is above another's."""
    return lambda lines: difference(lines[name], lines[other], figure)


def all_comparisons() -> dict[str, Comparison]:
    """Those in the folder, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(comparisons.__path__))
    return {name: importlib.import_module(f"{comparisons.__name__}.{name}").COMPARISON for name in names}
