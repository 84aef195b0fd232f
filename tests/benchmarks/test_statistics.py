"""How figures are read out of runs."""

from __future__ import annotations

import math

from benchmarks.comparison import Target, above, of, times
from benchmarks.statistics import Line, Measured, Spread, number, whole


def line(*seconds: float, rows: int = 100) -> Line:
    runs = [Measured(rows=rows, seconds=each, whole=each + 1, peak_mb=50) for each in seconds]
    return Line(name="side", runs=runs)


def test_a_ratio_is_that_of_medians_with_the_range_of_runs_that_followed_each_other() -> None:
    lines = {"ours": line(1, 2, 4), "other": line(4, 4, 2)}
    assert times("ours", "other")(lines) == Spread(2, 0.5, 4)


def test_a_side_that_ran_once_is_held_against_each_run_of_the_other() -> None:
    lines = {"ours": line(1, 2, 4), "other": line(8)}
    assert times("ours", "other")(lines) == Spread(4, 2, 8)


def test_rates_count_for_sides_of_different_size() -> None:
    assert times("ours", "other")({"ours": line(2), "other": line(1, rows=10)}).median == 5


def test_a_difference_is_that_of_medians_too() -> None:
    assert above("ours", "other", whole)({"ours": line(5, 6, 9), "other": line(1, 1, 2)}) == Spread(5, 4, 7)


def test_a_target_goes_by_the_median() -> None:
    target = Target("seconds of the process", of("ours", whole), most=7)
    assert target.is_met(target.find({"ours": line(5, 6, 9)}))
    assert not target.is_met(target.find({"ours": line(5, 6.1, 9)}))
    assert not target.is_met(Spread(math.nan, math.nan, math.nan))


def test_numbers_are_short() -> None:
    values = (20_000, 12_345.6, 123.4, 12.34, 1.234, 0.01234, 0, -3, math.nan)
    shown = [number(value) for value in values]
    assert shown == ["20,000", "12,346", "123", "12.3", "1.23", "0.0123", "0", "-3", "not counted"]
