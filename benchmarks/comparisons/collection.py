"""Collection: what people have answered, into Parquet."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.bench import Bench, Side
from benchmarks.comparison import COUNTED, Comparison, Target, of, times
from benchmarks.statistics import Lines, Measured, peak, rate
from labelflow.scale.models import PAGE_LIMIT

SMALL, ROWS = 10_000, 100_000
OURS, OURS_SMALL, GET, GET_CLIENT = "ours", "ours, small", "get", "get by client"
ABOUT = """\
100,000 responses from the stub's pages of 100 to finished `labels/`, by a visit as the flow `collect_responses` makes
it: the ledger is opened before, and the files are made large after. (d) asks for each task by itself, in a thread pool:
with a requests.Session per thread, and with Scale's own client."""


def ours(bench: Bench, rows: int) -> Side:
    """A visit to a job of so many rows, all of them answered."""
    work, submitted = bench.work(rows), bench.submitted(rows)

    def copy(folder: Path) -> None:
        shutil.copytree(submitted, folder / "out")

    def arguments(folder: Path) -> list[object]:
        return [work.config, "--output", folder / "out"]

    return Side("labelflow", rows, "product.collect", arguments, prepare=copy)


def measure(bench: Bench) -> Lines:
    """All against stubs that have as many completed tasks as the job."""
    rows, small = bench.rows(ROWS), bench.rows(SMALL)
    with bench.stub(completed=small) as server:
        few = bench.in_turn({OURS_SMALL: ours(bench, small)}, server)
    with bench.stub(completed=rows) as server:

        def get(folder: Path, *more: str) -> list[object]:
            return ["--url", server.url, "--rows", rows, "--output", folder, *more]

        sides = {
            OURS: ours(bench, rows),
            GET: Side(
                "(d) GET for each task, sessions", rows, "baselines.get_each", lambda folder: get(folder, "--sessions")
            ),
            GET_CLIENT: Side("(d) GET for each task, scaleapi", rows, "baselines.get_each", get),
        }
        return {**few, **bench.in_turn(sides, server)}


def requests_per_page(run: Measured) -> float:
    """Requests for each page that there is."""
    return (run.requests or 0) / (run.rows / PAGE_LIMIT)


COMPARISON = Comparison(
    title="Collection",
    about=ABOUT,
    measure=measure,
    columns=COUNTED,
    targets=(
        Target("requests for each page of 100: at most 1.02", of(OURS, requests_per_page), most=1.02),
        Target("responses/s on one core: at least 10,000", of(OURS, rate), least=10_000),
        Target(
            "peak memory at 100,000 responses, times that at 10,000: at most 1.3",
            times(OURS, OURS_SMALL, peak),
            most=1.3,
        ),
        Target("responses/s, times those of (d) with sessions: at least 20", times(OURS, GET), least=20),
        Target("responses/s, times those of (d) with scaleapi: at least 20", times(OURS, GET_CLIENT), least=20),
    ),
)
