"""A dry run: every row is read, bound and checked, and nothing is sent."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench, Side
from benchmarks.comparison import Comparison, Target, of, times
from benchmarks.statistics import Lines, peak, rate

SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (10_000, 1_000_000)
SMALL, LARGE = map(str, QUICK_SIZES)  # of which the targets speak
ABOUT = """\
`python -m flows.label_dataset CONFIG --dry-run` over one JSONL manifest, with `attachments: {check: off}`. The seconds
are those of the whole command, its imports among them."""


def side(bench: Bench, rows: int) -> Side:
    """A dry run of so many rows."""
    work = bench.work(bench.rows(rows))

    def arguments(folder: Path) -> list[object]:
        return ["--rows", work.rows, "flows.label_dataset", work.config, "--output", folder / "out", "--dry-run"]

    return Side("labelflow --dry-run", work.rows, "product.command", arguments, curve="labelflow --dry-run")


def measure(bench: Bench) -> Lines:
    """All sizes."""
    sizes = QUICK_SIZES if bench.quick else SIZES
    return bench.in_turn({str(rows): side(bench, rows) for rows in sizes})


COMPARISON = Comparison(
    title="Dry run",
    about=ABOUT,
    measure=measure,
    targets=(
        Target("rows/s at 1,000,000 rows: at least 20,000", of(LARGE, rate), least=20_000),
        Target("peak memory at 1,000,000 rows: at most 500 MB", of(LARGE, peak), most=500),
        Target("peak memory at 1,000,000 rows, times that at 10,000: at most 1.3", times(LARGE, SMALL, peak), most=1.3),
    ),
)
