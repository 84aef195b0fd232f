"""Submission of manifests of growing size: rate and memory should stay the same."""

from __future__ import annotations

from benchmarks.bench import BenchContext
from benchmarks.comparison import Comparison, Target, figure_of, ratio_of
from benchmarks.statistics import SeriesByName, peak
from benchmarks.submission_cases import CLIENT, MAP, PRODUCT, SESSIONS, submission_contender

SMALL, LARGE = 10_000, 100_000
SIZES = {
    PRODUCT: (1_000, SMALL, LARGE, 1_000_000),
    CLIENT: (1_000, SMALL, LARGE),
    MAP: (1_000, SMALL),
    SESSIONS: (1_000, SMALL, LARGE),
}
QUICK_SIZES = {PRODUCT: (SMALL,)}
ABOUT = """\
Submission over plain http, for manifests of growing size; the plots show these figures. (a), (b) and (c) are not
measured at the largest sizes: their time grows with the rows, and (b) would keep one future per row in memory."""


def measure(bench: BenchContext) -> SeriesByName:
    """Measure all sizes of all contenders against one stub."""
    sizes = QUICK_SIZES if bench.quick else SIZES
    with bench.api_stub() as server:
        contenders = {
            f"{contender} {rows}": submission_contender(bench, contender, rows, server, curve=True)
            for contender, row_counts in sizes.items()
            for rows in row_counts
        }
        series = bench.run_interleaved(contenders, server)
    if bench.quick:  # one measurement for both sizes
        return {**series, f"{PRODUCT} {LARGE}": series[f"{PRODUCT} {SMALL}"]}
    return series


COMPARISON = Comparison(
    title="Submission of more rows",
    about=ABOUT,
    measure=measure,
    targets=(
        Target("peak memory at 100,000 rows: at most 500 MB", figure_of(f"{PRODUCT} {LARGE}", peak), maximum=500),
        Target(
            "peak memory at 100,000 rows, times that at 10,000: at most 1.3",
            ratio_of(f"{PRODUCT} {LARGE}", f"{PRODUCT} {SMALL}", peak),
            maximum=1.3,
        ),
        Target(
            "rows/s at 100,000 rows, times those at 10,000: at least 0.9",
            ratio_of(f"{PRODUCT} {LARGE}", f"{PRODUCT} {SMALL}"),
            minimum=0.9,
        ),
    ),
)
