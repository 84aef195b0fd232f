"""The finished labels/ of a large job: how the files are written."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.bench import Bench, Side
from benchmarks.comparison import Column, Comparison, Target, of
from benchmarks.statistics import Lines, Measured, told

ROWS = 1_000_000
FILE_MEGABYTES = (128 << 20) / 1e6
LABELS = "labels"
ABOUT = """\
`labels/` of a job whose 1,000,000 rows have all been labeled. The last figure is the share of their bytes that DuckDB
reads for `select * … where row_id = …`. Shares are of 1."""


def measure(bench: Bench) -> Lines:
    """The files of one job, which are looked at once or more."""
    rows = bench.rows(ROWS)
    folder = bench.finished(rows) / "labels"

    def arguments(_: Path) -> list[object]:
        return [folder]

    return bench.in_turn({LABELS: Side("labels/ of labelflow", rows, "product.labels", arguments)})


def files_to_allowed(run: Measured) -> float:
    """The number of files, of those that so many bytes and rows may have."""
    return run.more["files"] / max(math.ceil(run.more["megabytes"] / FILE_MEGABYTES), math.ceil(run.rows / 1e6))


COMPARISON = Comparison(
    title="Finished labels",
    about=ABOUT,
    measure=measure,
    columns=(
        Column("files", told("files")),
        Column("MB", told("megabytes")),
        Column("row groups", told("groups")),
        Column("in order", told("order")),
        Column("zstd", told("zstd")),
        Column("dictionaries", told("dictionary")),
        Column("read for one row", told("read")),
    ),
    targets=(
        Target("files, of one for 128 MiB or for a million rows: at most 1", of(LABELS, files_to_allowed), most=1),
        Target("rows in manifest order: all, 1", of(LABELS, told("order")), least=1),
        Target("column chunks compressed with zstd: all, 1", of(LABELS, told("zstd")), least=1),
        Target("text columns dictionary-encoded: all, 1", of(LABELS, told("dictionary")), least=1),
        Target("bytes that DuckDB reads for one row_id: at most 0.5", of(LABELS, told("read")), most=0.5),
    ),
)
