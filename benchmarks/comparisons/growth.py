"""Submission of more and more rows: rate and memory must not follow."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.comparison import Comparison, Target, of, times
from benchmarks.statistics import Lines, peak
from benchmarks.submission_cases import CLIENT, MAP, OURS, SESSIONS, submitting

SMALL, LARGE = 10_000, 100_000
SIZES = {
    OURS: (1_000, SMALL, LARGE, 1_000_000),
    CLIENT: (1_000, SMALL, LARGE),
    MAP: (1_000, SMALL),
    SESSIONS: (1_000, SMALL, LARGE),
}
QUICK_SIZES = {OURS: (SMALL,)}
ABOUT = """\
The same over plain http, for manifests of more and more rows; the plots show these figures. (a), (b) and (c) stop
where the curve is told: their time grows with the rows, and (b) would hold as many futures in memory."""


def measure(bench: Bench) -> Lines:
    """All sizes of all sides against one stub."""
    sizes = QUICK_SIZES if bench.quick else SIZES
    with bench.stub() as server:
        sides = {
            f"{side} {rows}": submitting(bench, side, rows, server, curve=True)
            for side, all_rows in sizes.items()
            for rows in all_rows
        }
        lines = bench.in_turn(sides, server)
    return {**lines, f"{OURS} {LARGE}": lines[f"{OURS} {SMALL}"]} if bench.quick else lines  # one stands for both


COMPARISON = Comparison(
    title="Submission of more rows",
    about=ABOUT,
    measure=measure,
    targets=(
        Target("peak memory at 100,000 rows: at most 500 MB", of(f"{OURS} {LARGE}", peak), most=500),
        Target(
            "peak memory at 100,000 rows, times that at 10,000: at most 1.3",
            times(f"{OURS} {LARGE}", f"{OURS} {SMALL}", peak),
            most=1.3,
        ),
        Target(
            "rows/s at 100,000 rows, times those at 10,000: at least 0.9",
            times(f"{OURS} {LARGE}", f"{OURS} {SMALL}"),
            least=0.9,
        ),
    ),
)
