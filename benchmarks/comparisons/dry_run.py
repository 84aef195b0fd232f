"""Dry run: every row is read and checked, and no task is created."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.comparison import Comparison, Target, figure_of, ratio_of
from benchmarks.statistics import SeriesByName, peak, rate

SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (10_000, 1_000_000)
SMALL, LARGE = map(str, QUICK_SIZES)  # sizes that the targets use
ABOUT = """\
`python -m flows.label_dataset CONFIG --dry-run` over one JSONL manifest, with `attachments: {check: off}`. The seconds
are those of the whole command, including imports."""


def dry_run_contender(bench: BenchContext, rows: int) -> Contender:
    """A dry run of `rows` rows."""
    work = bench.workload(bench.rows(rows))

    def arguments(folder: Path) -> list[object]:
        return ["--rows", work.rows, "flows.label_dataset", work.config, "--output", folder / "out", "--dry-run"]

    return Contender("labelflow --dry-run", work.rows, "product.command", arguments, curve="labelflow --dry-run")


def measure(bench: BenchContext) -> SeriesByName:
    """Measure all sizes."""
    sizes = QUICK_SIZES if bench.quick else SIZES
    return bench.run_interleaved({str(rows): dry_run_contender(bench, rows) for rows in sizes})


COMPARISON = Comparison(
    title="Dry run",
    about=ABOUT,
    measure=measure,
    targets=(
        Target("rows/s at 1,000,000 rows: at least 20,000", figure_of(LARGE, rate), minimum=20_000),
        Target("peak memory at 1,000,000 rows: at most 500 MB", figure_of(LARGE, peak), maximum=500),
        Target(
            "peak memory at 1,000,000 rows, times that at 10,000: at most 1.3",
            ratio_of(LARGE, SMALL, peak),
            maximum=1.3,
        ),
    ),
)
