"""What was measured, and what is read out of it: medians, ranges, ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from pydantic import BaseModel, ConfigDict


class Measurement(BaseModel):
    """One run of one side.

    seconds: of the work. whole: of the process, from before its start to after its end. peak_mb: the most memory it
    held at once, in millions of bytes. requests: that reached the server. more: what else the process told.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    rows: int
    seconds: float
    total_seconds: float
    peak_mb: float
    requests: int | None = None
    extra: dict[str, float] = {}


class Series(BaseModel):
    """One side and its runs. curve: the line of the plots that it is a point of."""

    model_config = ConfigDict(frozen=True)

    name: str
    runs: list[Measurement]
    curve: str | None = None


SeriesByName = Mapping[str, Series]
Figure = Callable[[Measurement], float]


@dataclass(frozen=True, slots=True)
class Range:
    """A median, and how far single runs, or pairs of runs, lie from it."""

    median: float
    low: float
    high: float

    @classmethod
    def from_values(cls, values: list[float], center: float | None = None) -> Range:
        """Of single values; middle: what stands for their median."""
        return cls(median(values) if center is None else center, min(values), max(values))

    def __str__(self) -> str:
        low, high = format_number(self.low), format_number(self.high)
        return format_number(self.median) if low == high else f"{format_number(self.median)} ({low}–{high})"


def rate(run: Measurement) -> float:
    """Rows a second."""
    return run.rows / run.seconds


def seconds(run: Measurement) -> float:
    """Of the work."""
    return run.seconds


def overhead(run: Measurement) -> float:
    """Seconds of the process beside the work: imports, Prefect's server that starts and ends."""
    return run.total_seconds - run.seconds


def peak(run: Measurement) -> float:
    """Most memory held at once, MB."""
    return run.peak_mb


def total_seconds(run: Measurement) -> float:
    """Seconds of the process, from before its start to after its end."""
    return run.total_seconds


def request_count(run: Measurement) -> float:
    """That reached the server; NaN where they were not counted."""
    return math.nan if run.requests is None else run.requests


def extra_figure(name: str) -> Figure:
    """A figure of which only some processes tell."""
    return lambda run: run.extra[name]


def figure_range(series: Series, figure: Figure) -> Range:
    """A figure over the runs of a side."""
    return Range.from_values([figure(run) for run in series.runs])


def ratio(series: Series, other: Series, figure: Figure) -> Range:
    """How many times the other's figure a side's is: the ratio of medians, and the lowest and highest of a pair."""
    middle = figure_range(series, figure).median / figure_range(other, figure).median
    return Range.from_values([figure(run) / figure(beside) for run, beside in _pairs(series, other)], middle)


def difference(series: Series, other: Series, figure: Figure) -> Range:
    """By how much a side's figure is above the other's."""
    middle = figure_range(series, figure).median - figure_range(other, figure).median
    return Range.from_values([figure(run) - figure(beside) for run, beside in _pairs(series, other)], middle)


def _pairs(series: Series, other: Series) -> list[tuple[Measurement, Measurement]]:
    """The runs that followed each other; a side that ran once only is held against each run of the other."""
    most = max(len(series.runs), len(other.runs))
    return [(series.runs[run % len(series.runs)], other.runs[run % len(other.runs)]) for run in range(most)]


def format_number(value: float) -> str:
    """With three digits or more, or as a whole number where it is one."""
    if math.isnan(value):
        return "not counted"
    if value == int(value):
        return f"{value:,.0f}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
