"""A second run of a job that is complete."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.comparison import Column, Comparison, Target, difference_of
from benchmarks.statistics import SeriesByName, peak, total_seconds

ROWS = 1_000_000
PRODUCT, EMPTY_FLOW = "product", "empty flow"
ABOUT = """\
A second run of a job whose 1,000,000 rows are all labeled, compared with a Prefect flow that does nothing. The seconds
are those of the whole process, including imports and Prefect's server."""


def measure(bench: BenchContext) -> SeriesByName:
    """Measure both against a stub without completed tasks."""
    work = bench.workload(bench.rows(ROWS))
    output = bench.labeled_output(work.rows)

    def arguments(_: Path) -> list[object]:
        return ["--rows", work.rows, "flows.label_dataset", work.config, "--output", output]

    with bench.api_stub() as server:
        contenders = {
            PRODUCT: Contender("labelflow", work.rows, "product.command", arguments),
            EMPTY_FLOW: Contender("a Prefect flow that does nothing", 0, "baselines.empty_flow", lambda _: []),
        }
        return bench.run_interleaved(contenders, server)


COMPARISON = Comparison(
    title="Second run",
    about=ABOUT,
    measure=measure,
    columns=(Column("seconds", total_seconds), Column("peak MB", peak)),
    targets=(
        Target(
            "seconds more than the empty flow: at most 20",
            difference_of(PRODUCT, EMPTY_FLOW, total_seconds),
            maximum=20,
        ),
    ),
)
