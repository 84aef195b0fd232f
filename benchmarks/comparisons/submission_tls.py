"""Submission over TLS, to a server that takes its time."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.comparison import Comparison, Target, times
from benchmarks.figures import Lines
from benchmarks.sides import CLIENT, OURS, SESSIONS, submitting

ROWS = 5_000
LATENCY = 20.0  # milliseconds
ABOUT = """\
A manifest of 5,000 rows over TLS, with 20 ms added to each answer: 16 requests at once take 6.25 s at least. The
server's certificate is its own, and the only one that clients are told to trust."""


def measure(bench: Bench) -> Lines:
    """All sides against one stub."""
    with bench.stub(tls=True, latency=LATENCY) as server:
        sides = {side: submitting(bench, side, ROWS, server) for side in (OURS, CLIENT, SESSIONS)}
        return bench.in_turn(sides, server)


COMPARISON = Comparison(
    title="Submission over TLS",
    about=ABOUT,
    measure=measure,
    targets=(Target("rows/s, times those of (a): at least 3.5", times(OURS, CLIENT), least=3.5),),
)
