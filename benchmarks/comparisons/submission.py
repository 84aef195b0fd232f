"""Submission over plain http."""

from __future__ import annotations

from benchmarks.bench import BenchContext
from benchmarks.comparison import Comparison, Target, ratio_of
from benchmarks.statistics import SeriesByName
from benchmarks.submission_cases import CLIENT, MAP, PRODUCT, SESSIONS, submission_contender

ROWS = {PRODUCT: 20_000, CLIENT: 20_000, MAP: 2_000, SESSIONS: 20_000}
ABOUT = """\
A manifest of 20,000 rows over plain http. (b) submits 2,000 of them: its time per row does not depend on the number of
rows, its memory does."""


def measure(bench: BenchContext) -> SeriesByName:
    """Measure all contenders against one stub."""
    with bench.api_stub() as server:
        contenders = {name: submission_contender(bench, name, rows, server) for name, rows in ROWS.items()}
        return bench.run_interleaved(contenders, server)


COMPARISON = Comparison(
    title="Submission",
    about=ABOUT,
    measure=measure,
    targets=(
        Target("rows/s, times those of (c): at least 0.9", ratio_of(PRODUCT, SESSIONS), minimum=0.9),
        Target("rows/s, times those of (a): at least 2.2", ratio_of(PRODUCT, CLIENT), minimum=2.2),
        Target("rows/s, times those of (b): at least 15", ratio_of(PRODUCT, MAP), minimum=15),
    ),
)
