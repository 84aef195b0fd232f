"""Submission of more and more rows: rate and memory must not follow."""

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
The same over plain http, for manifests of more and more rows; the plots show these figures. (a), (b) and (c) stop
where the curve is told: their time grows with the rows, and (b) would hold as many futures in memory."""


def measure(bench: BenchContext) -> SeriesByName:
    """All sizes of all sides against one stub."""
    sizes = QUICK_SIZES if bench.quick else SIZES
    with bench.api_stub() as server:
        sides = {
            f"{side} {rows}": submission_contender(bench, side, rows, server, curve=True)
            for side, all_rows in sizes.items()
            for rows in all_rows
        }
        lines = bench.run_interleaved(sides, server)
    return {**lines, f"{PRODUCT} {LARGE}": lines[f"{PRODUCT} {SMALL}"]} if bench.quick else lines  # one stands for both


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
