"""A second run, when everything is done."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.comparison import Column, Comparison, Target, difference_of
from benchmarks.statistics import SeriesByName, peak, total_seconds

ROWS = 1_000_000
PRODUCT, EMPTY_FLOW = "ours", "nothing"
ABOUT = """\
A second run of a job whose 1,000,000 rows are all labeled, against a Prefect flow that does nothing. The seconds are
those of the whole process: imports, Prefect's server, its end."""


def measure(bench: BenchContext) -> SeriesByName:
    """Both against an API that has no task."""
    work = bench.workload(bench.rows(ROWS))
    output = bench.labeled_output(work.rows)

    def arguments(_: Path) -> list[object]:
        return ["--rows", work.rows, "flows.label_dataset", work.config, "--output", output]

    with bench.api_stub() as server:
        sides = {
            PRODUCT: Contender("labelflow", work.rows, "product.command", arguments),
            EMPTY_FLOW: Contender("a Prefect flow that does nothing", 0, "baselines.empty_flow", lambda _: []),
        }
        return bench.run_interleaved(sides, server)


COMPARISON = Comparison(
    title="Second run",
    about=ABOUT,
    measure=measure,
    columns=(Column("seconds", total_seconds), Column("peak MB", peak)),
    targets=(
        Target(
            "seconds more than the other's: at most 20", difference_of(PRODUCT, EMPTY_FLOW, total_seconds), maximum=20
        ),
    ),
)
