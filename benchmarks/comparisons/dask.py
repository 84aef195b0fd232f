"""Submission by the workers of a Dask cluster: two of them beside one."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks import prefect_env
from benchmarks.bench import Bench, Side, Work
from benchmarks.comparison import Comparison, Target, times
from benchmarks.statistics import Lines

ROWS = 8_000
LATENCY = 50.0  # milliseconds
ONE, TWO = "one", "two"
WORKERS = {ONE: 1, TWO: 2}
ABOUT = """\
A manifest of 8,000 rows, `runner: {type: dask, workers: N}`, a real Prefect server, and a stub that adds 50 ms to each
answer. `concurrency` is 16 for each worker, so one of them creates 320 tasks a second at most.
Nothing is pinned to a core. The time is that of the submission; the start of the cluster is told apart."""


def submitting(work: Work, workers: int, api: str) -> Side:
    """The command, with so many worker processes."""

    def prepare(folder: Path) -> None:
        job = yaml.safe_load(work.config.read_text())
        (folder / "job.yaml").write_text(yaml.safe_dump({**job, "runner": {"type": "dask", "workers": workers}}))

    def arguments(folder: Path) -> list[object]:
        own = ["--rows", work.rows, "--submitted", folder / "out"]
        return [*own, "flows.label_dataset", folder / "job.yaml", "--output", folder / "out", "--no-wait"]

    name = f"labelflow, {workers} Dask worker{'s' if workers > 1 else ''}"
    environment = {"PREFECT_API_URL": api}
    return Side(name, work.rows, "product.command", arguments, environment, prepare=prepare, pin=False)


def measure(bench: Bench) -> Lines:
    """Both against one stub, and one Prefect server."""
    work = bench.work(bench.rows(ROWS))
    with prefect_env.server(bench.environment) as api, bench.stub(latency=LATENCY) as server:
        sides = {name: submitting(work, workers, api) for name, workers in WORKERS.items()}
        return bench.in_turn(sides, server)


COMPARISON = Comparison(
    title="Many processes",
    about=ABOUT,
    measure=measure,
    targets=(Target("rows/s of two workers, times those of one: at least 1.8", times(TWO, ONE), least=1.8),),
)
