"""Collection of completed tasks into Parquet."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.comparison import REQUEST_COLUMNS, Comparison, Target, figure_of, ratio_of
from benchmarks.statistics import Measurement, SeriesByName, peak, rate
from labelflow.scale.models import PAGE_LIMIT

SMALL, ROWS = 10_000, 100_000
PRODUCT, PRODUCT_SMALL, GET, GET_CLIENT = "product", "product, small", "get", "get by client"
ABOUT = """\
100,000 responses, from the stub's pages of 100 to compacted `labels/`, collected as the flow `collect_responses` does:
the time includes opening the ledger and the compaction. (d) gets each task separately, in a thread pool: with a
requests.Session per thread, and with Scale's official client."""


def product_contender(bench: BenchContext, rows: int) -> Contender:
    """One collection of a job with `rows` completed tasks."""
    work, submitted = bench.workload(rows), bench.submitted_output(rows)

    def copy(folder: Path) -> None:
        shutil.copytree(submitted, folder / "out")

    def arguments(folder: Path) -> list[object]:
        return [work.config, "--output", folder / "out"]

    return Contender("labelflow", rows, "product.collect", arguments, prepare=copy)


def measure(bench: BenchContext) -> SeriesByName:
    """Measure all contenders against stubs with as many completed tasks as the job has rows."""
    rows, small = bench.rows(ROWS), bench.rows(SMALL)
    with bench.api_stub(completed=small) as server:
        small_series = bench.run_interleaved({PRODUCT_SMALL: product_contender(bench, small)}, server)
    with bench.api_stub(completed=rows) as server:

        def get_arguments(folder: Path, *options: str) -> list[object]:
            return ["--url", server.url, "--rows", rows, "--output", folder, *options]

        contenders = {
            PRODUCT: product_contender(bench, rows),
            GET: Contender(
                "(d) GET for each task, sessions",
                rows,
                "baselines.get_each",
                lambda folder: get_arguments(folder, "--sessions"),
            ),
            GET_CLIENT: Contender("(d) GET for each task, scaleapi", rows, "baselines.get_each", get_arguments),
        }
        return {**small_series, **bench.run_interleaved(contenders, server)}


def requests_per_page(run: Measurement) -> float:
    """Requests per page of tasks."""
    return (run.requests or 0) / (run.rows / PAGE_LIMIT)


COMPARISON = Comparison(
    title="Collection",
    about=ABOUT,
    measure=measure,
    columns=REQUEST_COLUMNS,
    targets=(
        Target("requests per page of 100: at most 1.02", figure_of(PRODUCT, requests_per_page), maximum=1.02),
        Target("responses/s on one core: at least 10,000", figure_of(PRODUCT, rate), minimum=10_000),
        Target(
            "peak memory at 100,000 responses, times that at 10,000: at most 1.3",
            ratio_of(PRODUCT, PRODUCT_SMALL, peak),
            maximum=1.3,
        ),
        Target("responses/s, times those of (d) with sessions: at least 20", ratio_of(PRODUCT, GET), minimum=20),
        Target("responses/s, times those of (d) with scaleapi: at least 20", ratio_of(PRODUCT, GET_CLIENT), minimum=20),
    ),
)
