"""The finished labels/ of a large job: layout of the files."""

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
`labels/` of a job whose 1,000,000 rows are all labeled. The last column is the share of the bytes that DuckDB reads for
`select * … where row_id = …`. Shares are between 0 and 1."""


def measure(bench: BenchContext) -> SeriesByName:
    """Measure the files of one job."""
    rows = bench.rows(ROWS)
    folder = bench.labeled_output(rows) / "labels"

    def arguments(_: Path) -> list[object]:
        return [folder]

    return bench.run_interleaved({LABELS: Contender("labels/ of labelflow", rows, "product.labels", arguments)})


def files_per_allowed(run: Measurement) -> float:
    """The number of files, relative to the number that is expected for these bytes and rows."""
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
            "files, relative to one per 128 MiB or million rows: at most 1",
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
