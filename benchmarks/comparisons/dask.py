"""Submission by the workers of a Dask cluster: two workers compared with one."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks import prefect_env
from benchmarks.bench import BenchContext, Contender, Workload
from benchmarks.comparison import Comparison, Target, ratio_of
from benchmarks.statistics import SeriesByName

ROWS = 8_000
LATENCY = 50.0  # milliseconds
ONE, TWO = "one", "two"
WORKERS = {ONE: 1, TWO: 2}
ABOUT = """\
A manifest of 8,000 rows, `runner: {type: dask, workers: N}`, a real Prefect server, and a stub that adds 50 ms to each
response. `concurrency` is 16 per worker, so one worker creates at most 320 tasks per second. No process is pinned to a
core. The seconds are those of the submission; the start of the cluster is in *start and end*."""


def dask_contender(workload: Workload, workers: int, api: str) -> Contender:
    """The command with `workers` worker processes."""

    def prepare(folder: Path) -> None:
        job = yaml.safe_load(workload.config.read_text())
        (folder / "job.yaml").write_text(yaml.safe_dump({**job, "runner": {"type": "dask", "workers": workers}}))

    def arguments(folder: Path) -> list[object]:
        own_options = ["--rows", workload.rows, "--submitted", folder / "out"]
        return [*own_options, "flows.label_dataset", folder / "job.yaml", "--output", folder / "out", "--no-wait"]

    name = f"labelflow, {workers} Dask worker{'s' if workers > 1 else ''}"
    environment = {"PREFECT_API_URL": api}
    return Contender(name, workload.rows, "product.command", arguments, environment, prepare=prepare, pin=False)


def measure(bench: BenchContext) -> SeriesByName:
    """Measure both against one stub and one Prefect server."""
    work = bench.workload(bench.rows(ROWS))
    with prefect_env.running_server(bench.environment) as api, bench.api_stub(latency=LATENCY) as server:
        contenders = {name: dask_contender(work, workers, api) for name, workers in WORKERS.items()}
        return bench.run_interleaved(contenders, server)


COMPARISON = Comparison(
    title="Many processes",
    about=ABOUT,
    measure=measure,
    targets=(Target("rows/s of two workers, times those of one: at least 1.8", ratio_of(TWO, ONE), minimum=1.8),),
)
