"""What was measured, and what is read out of it: medians, ranges, ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from pydantic import BaseModel, ConfigDict


class Measured(BaseModel):
    """One run of one side.

    seconds: of the work. whole: of the process, from before its start to after its end. peak_mb: the most memory it
    held at once, in millions of bytes. requests: that reached the server. more: what else the process told.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    rows: int
    seconds: float
    whole: float
    peak_mb: float
    requests: int | None = None
    more: dict[str, float] = {}


class Line(BaseModel):
    """One side and its runs. curve: the line of the plots that it is a point of."""

    model_config = ConfigDict(frozen=True)

    name: str
    runs: list[Measured]
    curve: str | None = None


Lines = Mapping[str, Line]
Figure = Callable[[Measured], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and how far single runs, or pairs of runs, lie from it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float], middle: float | None = None) -> Spread:
        """Of single values; middle: what stands for their median."""
        return cls(median(values) if middle is None else middle, min(values), max(values))

    def __str__(self) -> str:
        low, high = number(self.low), number(self.high)
        return number(self.median) if low == high else f"{number(self.median)} ({low}–{high})"


def rate(run: Measured) -> float:
    """Rows a second."""
    return run.rows / run.seconds


def seconds(run: Measured) -> float:
    """Of the work."""
    return run.seconds


def rest(run: Measured) -> float:
    """Seconds of the process beside the work: imports, Prefect's server that starts and ends."""
    return run.whole - run.seconds


def peak(run: Measured) -> float:
    """Most memory held at once, MB."""
    return run.peak_mb


def whole(run: Measured) -> float:
    """Seconds of the process, from before its start to after its end."""
    return run.whole


def requests(run: Measured) -> float:
    """That reached the server; NaN where they were not counted."""
    return math.nan if run.requests is None else run.requests


def told(name: str) -> Figure:
    """A figure of which only some processes tell."""
    return lambda run: run.more[name]


def spread(line: Line, figure: Figure) -> Spread:
    """A figure over the runs of a side."""
    return Spread.of([figure(run) for run in line.runs])


def ratio(line: Line, other: Line, figure: Figure) -> Spread:
    """How many times the other's figure a side's is: the ratio of medians, and the lowest and highest of a pair."""
    middle = spread(line, figure).median / spread(other, figure).median
    return Spread.of([figure(run) / figure(beside) for run, beside in _pairs(line, other)], middle)


def difference(line: Line, other: Line, figure: Figure) -> Spread:
    """By how much a side's figure is above the other's."""
    middle = spread(line, figure).median - spread(other, figure).median
    return Spread.of([figure(run) - figure(beside) for run, beside in _pairs(line, other)], middle)


def _pairs(line: Line, other: Line) -> list[tuple[Measured, Measured]]:
    """The runs that followed each other; a side that ran once only is held against each run of the other."""
    most = max(len(line.runs), len(other.runs))
    return [(line.runs[run % len(line.runs)], other.runs[run % len(other.runs)]) for run in range(most)]


def number(value: float) -> str:
    """With three digits or more, or as a whole number where it is one."""
    if math.isnan(value):
        return "not counted"
    if value == int(value):
        return f"{value:,.0f}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
