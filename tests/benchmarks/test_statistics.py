"""How figures are read out of runs."""

from __future__ import annotations

import math

from benchmarks.comparison import Target, difference_of, figure_of, ratio_of
from benchmarks.statistics import Measurement, Range, Series, format_number, total_seconds


def make_series(*seconds: float, rows: int = 100) -> Series:
    runs = [Measurement(rows=rows, seconds=each, total_seconds=each + 1, peak_mb=50) for each in seconds]
    return Series(name="side", runs=runs)


def test_ratio_of_medians_with_the_range_of_consecutive_runs() -> None:
    lines = {"ours": make_series(1, 2, 4), "other": make_series(4, 4, 2)}
    assert ratio_of("ours", "other")(lines) == Range(2, 0.5, 4)


def test_contender_that_ran_once_is_compared_with_each_run_of_the_other() -> None:
    lines = {"ours": make_series(1, 2, 4), "other": make_series(8)}
    assert ratio_of("ours", "other")(lines) == Range(4, 2, 8)


def test_rates_compare_contenders_of_different_size() -> None:
    assert ratio_of("ours", "other")({"ours": make_series(2), "other": make_series(1, rows=10)}).median == 5


def test_difference_of_medians() -> None:
    assert difference_of("ours", "other", total_seconds)(
        {"ours": make_series(5, 6, 9), "other": make_series(1, 1, 2)}
    ) == Range(5, 4, 7)


def test_target_is_judged_by_the_median() -> None:
    target = Target("seconds of the process", figure_of("ours", total_seconds), maximum=7)
    assert target.is_met(target.read({"ours": make_series(5, 6, 9)}))
    assert not target.is_met(target.read({"ours": make_series(5, 6.1, 9)}))
    assert not target.is_met(Range(math.nan, math.nan, math.nan))


def test_numbers_are_formatted_briefly() -> None:
    values = (20_000, 12_345.6, 123.4, 12.34, 1.234, 0.01234, 0, -3, math.nan)
    shown = [format_number(value) for value in values]
    assert shown == ["20,000", "12,346", "123", "12.3", "1.23", "0.0123", "0", "-3", "not counted"]
