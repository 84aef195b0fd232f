"""Contenders that several comparisons share: submission of a manifest by labelflow and by the baselines."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.processes import Server

PRODUCT, CLIENT, MAP, SESSIONS = "product", "client", "map", "sessions"
NAMES = {
    PRODUCT: "labelflow",
    CLIENT: "(a) scaleapi in a thread pool",
    MAP: "(b) Prefect, a task run for each row",
    SESSIONS: "(c) a bare requests.Session per thread",
}
_BASELINES = {CLIENT: "official_client", MAP: "prefect_map", SESSIONS: "sessions"}


def submission_contender(
    bench: BenchContext, contender: str, rows: int, server: Server, *, curve: bool = False
) -> Contender:
    """A contender that submits a manifest of `rows` rows. curve: plot its figures."""
    workload = bench.workload(bench.rows(rows))

    def product_arguments(folder: Path) -> list[object]:
        own_options = ["--rows", workload.rows, "--submitted", folder / "out"]
        return [*own_options, "flows.label_dataset", workload.config, "--output", folder / "out", "--no-wait"]

    def baseline_arguments(folder: Path) -> list[object]:
        return ["--url", server.url, "--rows", workload.rows, "--manifest", workload.manifest, "--output", folder]

    module = "product.command" if contender == PRODUCT else f"baselines.{_BASELINES[contender]}"
    return Contender(
        NAMES[contender],
        workload.rows,
        module,
        product_arguments if contender == PRODUCT else baseline_arguments,
        curve=NAMES[contender] if curve else None,
    )
