"""A second run, when everything is done."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench, Side
from benchmarks.comparison import Column, Comparison, Target, above
from benchmarks.statistics import Lines, peak, whole

ROWS = 1_000_000
OURS, NOTHING = "ours", "nothing"
ABOUT = """\
A second run of a job whose 1,000,000 rows are all labeled, against a Prefect flow that does nothing. The seconds are
those of the whole process: imports, Prefect's server, its end."""


def measure(bench: Bench) -> Lines:
    """Both against an API that has no task."""
    work = bench.work(bench.rows(ROWS))
    output = bench.finished(work.rows)

    def arguments(_: Path) -> list[object]:
        return ["--rows", work.rows, "flows.label_dataset", work.config, "--output", output]

    with bench.stub() as server:
        sides = {
            OURS: Side("labelflow", work.rows, "product.command", arguments),
            NOTHING: Side("a Prefect flow that does nothing", 0, "baselines.empty_flow", lambda _: []),
        }
        return bench.in_turn(sides, server)


COMPARISON = Comparison(
    title="Second run",
    about=ABOUT,
    measure=measure,
    columns=(Column("seconds", whole), Column("peak MB", peak)),
    targets=(Target("seconds more than the other's: at most 20", above(OURS, NOTHING, whole), most=20),),
)
