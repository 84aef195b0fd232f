"""Measurements and their statistics: medians, ranges, ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from pydantic import BaseModel, ConfigDict


class Measurement(BaseModel):
    """One run of one contender.

    seconds: of the work. total_seconds: of the process, from before its start to after its end. peak_mb: peak memory in
    millions of bytes. requests: received by the server. extra: other figures that the process reported.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    rows: int
    seconds: float
    total_seconds: float
    peak_mb: float
    requests: int | None = None
    extra: dict[str, float] = {}


class Series(BaseModel):
    """One contender and its runs. curve: its line in the plots."""

    model_config = ConfigDict(frozen=True)

    name: str
    runs: list[Measurement]
    curve: str | None = None


SeriesByName = Mapping[str, Series]
Figure = Callable[[Measurement], float]


@dataclass(frozen=True, slots=True)
class Range:
    """A median, with the lowest and highest value of single runs or of pairs of runs."""

    median: float
    low: float
    high: float

    @classmethod
    def from_values(cls, values: list[float], center: float | None = None) -> Range:
        """The range of single values; center: used instead of their median."""
        return cls(median(values) if center is None else center, min(values), max(values))

    def __str__(self) -> str:
        low, high = format_number(self.low), format_number(self.high)
        return format_number(self.median) if low == high else f"{format_number(self.median)} ({low}–{high})"


def rate(run: Measurement) -> float:
    """Rows per second."""
    return run.rows / run.seconds


def seconds(run: Measurement) -> float:
    """Seconds of the work."""
    return run.seconds


def overhead(run: Measurement) -> float:
    """Seconds of the process besides the work: imports, start and end of Prefect's server."""
    return run.total_seconds - run.seconds


def peak(run: Measurement) -> float:
    """Peak memory in MB."""
    return run.peak_mb


def total_seconds(run: Measurement) -> float:
    """Seconds of the process, from before its start to after its end."""
    return run.total_seconds


def request_count(run: Measurement) -> float:
    """Requests that the server received; NaN if they were not counted."""
    return math.nan if run.requests is None else run.requests


def extra_figure(name: str) -> Figure:
    """A figure that only some processes report."""
    return lambda run: run.extra[name]


def figure_range(series: Series, figure: Figure) -> Range:
    """The range of a figure over all runs."""
    return Range.from_values([figure(run) for run in series.runs])


def ratio(series: Series, other: Series, figure: Figure) -> Range:
    """Ratio of the medians of two series, with the lowest and highest ratio of a pair of runs."""
    center = figure_range(series, figure).median / figure_range(other, figure).median
    return Range.from_values([figure(run) / figure(other_run) for run, other_run in _pairs(series, other)], center)


def difference(series: Series, other: Series, figure: Figure) -> Range:
    """Difference of the medians of two series, with the lowest and highest difference of a pair of runs."""
    center = figure_range(series, figure).median - figure_range(other, figure).median
    return Range.from_values([figure(run) - figure(other_run) for run, other_run in _pairs(series, other)], center)


def _pairs(series: Series, other: Series) -> list[tuple[Measurement, Measurement]]:
    """Consecutive runs; a contender that ran only once is paired with each run of the other."""
    count = max(len(series.runs), len(other.runs))
    return [(series.runs[run % len(series.runs)], other.runs[run % len(other.runs)]) for run in range(count)]


def format_number(value: float) -> str:
    """Format with at least three significant digits, or as a whole number if it is one."""
    if math.isnan(value):
        return "not counted"
    if value == int(value):
        return f"{value:,.0f}"
    magnitude = abs(value)
    return f"{value:,.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.3g}"
