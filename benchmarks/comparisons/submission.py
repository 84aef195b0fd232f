"""Submission over plain http."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.comparison import Comparison, Target, times
from benchmarks.statistics import Lines
from benchmarks.submission_cases import CLIENT, MAP, OURS, SESSIONS, submitting

ROWS = {OURS: 20_000, CLIENT: 20_000, MAP: 2_000, SESSIONS: 20_000}
ABOUT = """\
A manifest of 20,000 rows over plain http. (b) gets 2,000 of them: its time for a row does not depend on their number,
its memory does."""


def measure(bench: Bench) -> Lines:
    """All sides against one stub."""
    with bench.stub() as server:
        sides = {side: submitting(bench, side, rows, server) for side, rows in ROWS.items()}
        return bench.in_turn(sides, server)


COMPARISON = Comparison(
    title="Submission",
    about=ABOUT,
    measure=measure,
    targets=(
        Target("rows/s, times those of (c): at least 0.9", times(OURS, SESSIONS), least=0.9),
        Target("rows/s, times those of (a): at least 2.2", times(OURS, CLIENT), least=2.2),
        Target("rows/s, times those of (b): at least 15", times(OURS, MAP), least=15),
    ),
)
