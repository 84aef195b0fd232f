"""The sides that several comparisons have: submission of a manifest, by us and by the baselines."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench, Side
from benchmarks.processes import Server

OURS, CLIENT, MAP, SESSIONS = "ours", "client", "map", "sessions"
NAMES = {
    OURS: "labelflow",
    CLIENT: "(a) scaleapi in a thread pool",
    MAP: "(b) Prefect, a task run for each row",
    SESSIONS: "(c) a bare requests.Session per thread",
}
_PEERS = {CLIENT: "official_client", MAP: "prefect_map", SESSIONS: "sessions"}


def submitting(bench: Bench, side: str, rows: int, server: Server, *, curve: bool = False) -> Side:
    """One of the sides, submitting a manifest of so many rows. curve: its figures are drawn."""
    work = bench.work(bench.rows(rows))

    def ours(folder: Path) -> list[object]:
        own = ["--rows", work.rows, "--submitted", folder / "out"]
        return [*own, "flows.label_dataset", work.config, "--output", folder / "out", "--no-wait"]

    def peer(folder: Path) -> list[object]:
        return ["--url", server.url, "--rows", work.rows, "--manifest", work.manifest, "--output", folder]

    module = "product.command" if side == OURS else f"baselines.{_PEERS[side]}"
    return Side(NAMES[side], work.rows, module, ours if side == OURS else peer, curve=NAMES[side] if curve else None)
