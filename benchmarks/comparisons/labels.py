"""The finished labels/ of a large job: how the files are written."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.comparison import Column, Comparison, Target, figure_of
from benchmarks.statistics import Measurement, SeriesByName, extra_figure

ROWS = 1_000_000
FILE_MEGABYTES = (128 << 20) / 1e6
LABELS = "labels"
ABOUT = """\
`labels/` of a job whose 1,000,000 rows have all been labeled. The last figure is the share of their bytes that DuckDB
reads for `select * … where row_id = …`. Shares are of 1."""


def measure(bench: BenchContext) -> SeriesByName:
    """The files of one job, which are looked at once or more."""
    rows = bench.rows(ROWS)
    folder = bench.labeled_output(rows) / "labels"

    def arguments(_: Path) -> list[object]:
        return [folder]

    return bench.run_interleaved({LABELS: Contender("labels/ of labelflow", rows, "product.labels", arguments)})


def files_per_allowed(run: Measurement) -> float:
    """The number of files, of those that so many bytes and rows may have."""
    return run.extra["files"] / max(math.ceil(run.extra["megabytes"] / FILE_MEGABYTES), math.ceil(run.rows / 1e6))


COMPARISON = Comparison(
    title="Finished labels",
    about=ABOUT,
    measure=measure,
    columns=(
        Column("files", extra_figure("files")),
        Column("MB", extra_figure("megabytes")),
        Column("row groups", extra_figure("groups")),
        Column("in order", extra_figure("order")),
        Column("zstd", extra_figure("zstd")),
        Column("dictionaries", extra_figure("dictionary")),
        Column("read for one row", extra_figure("read")),
    ),
    targets=(
        Target(
            "files, of one for 128 MiB or for a million rows: at most 1",
            figure_of(LABELS, files_per_allowed),
            maximum=1,
        ),
        Target("rows in manifest order: all, 1", figure_of(LABELS, extra_figure("order")), minimum=1),
        Target("column chunks compressed with zstd: all, 1", figure_of(LABELS, extra_figure("zstd")), minimum=1),
        Target("text columns dictionary-encoded: all, 1", figure_of(LABELS, extra_figure("dictionary")), minimum=1),
        Target(
            "bytes that DuckDB reads for one row_id: at most 0.5", figure_of(LABELS, extra_figure("read")), maximum=0.5
        ),
    ),
)
