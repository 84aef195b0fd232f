"""Statistics of runs."""

from __future__ import annotations

import math

from benchmarks.comparison import Target, difference_of, figure_of, ratio_of
from benchmarks.statistics import Measurement, Range, Series, format_number, total_seconds


def make_series(*seconds: float, rows: int = 100) -> Series:
    runs = [Measurement(rows=rows, seconds=value, total_seconds=value + 1, peak_mb=50) for value in seconds]
    return Series(name="contender", runs=runs)


def test_ratio_of_medians_with_the_range_of_consecutive_runs() -> None:
    series = {"product": make_series(1, 2, 4), "other": make_series(4, 4, 2)}
    assert ratio_of("product", "other")(series) == Range(2, 0.5, 4)


def test_contender_that_ran_once_is_compared_with_each_run_of_the_other() -> None:
    series = {"product": make_series(1, 2, 4), "other": make_series(8)}
    assert ratio_of("product", "other")(series) == Range(4, 2, 8)


def test_rates_compare_contenders_of_different_size() -> None:
    assert ratio_of("product", "other")({"product": make_series(2), "other": make_series(1, rows=10)}).median == 5


def test_difference_of_medians() -> None:
    assert difference_of("product", "other", total_seconds)(
        {"product": make_series(5, 6, 9), "other": make_series(1, 1, 2)}
    ) == Range(5, 4, 7)


def test_target_is_judged_by_the_median() -> None:
    target = Target("seconds of the process", figure_of("product", total_seconds), maximum=7)
    assert target.is_met(target.read({"product": make_series(5, 6, 9)}))
    assert not target.is_met(target.read({"product": make_series(5, 6.1, 9)}))
    assert not target.is_met(Range(math.nan, math.nan, math.nan))


def test_numbers_are_formatted_briefly() -> None:
    values = (20_000, 12_345.6, 123.4, 12.34, 1.234, 0.01234, 0, -3, math.nan)
    shown = [format_number(value) for value in values]
    assert shown == ["20,000", "12,346", "123", "12.3", "1.23", "0.0123", "0", "-3", "not counted"]
