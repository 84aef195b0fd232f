"""Markdown of the results: one comparison for the terminal, all of them for docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.comparison import Column, Comparison, Target
from benchmarks.plots import MEMORY, SECONDS
from benchmarks.results import Result
from benchmarks.statistics import Range, Series, SeriesByName, figure_range, format_number

TEMPLATE = """\
# Benchmarks

Written by `make bench`. Measured on {machine}, {day}. {met} of {targets} targets are met.

- labelflow is compared with: (a) Scale's official client in a thread pool, (b) a Prefect flow with one task run per
  row and that client, (c) a bare `requests.Session` per thread, (d) one GET per task into pandas, (e) one
  `head_object` per object. Each is written as its own documentation shows, in `benchmarks/baselines/`. All contenders
  send 16 requests concurrently.
- The contenders of a comparison run in turn against the same server: a stub without a database, which is not the
  bottleneck. The stub runs on one core; the contender and its child processes, such as Prefect's server, on another.
- Each measurement is a separate process. *seconds* is the time of the work: from the manifest's first row to the last
  record on disk, which is `seconds.submit` in labelflow's summary.json. *start and end* is the rest of the process:
  imports, start and end of Prefect's server. *peak MB* is the memory of the process without Prefect's server.
- Figures are medians of up to five runs, with the lowest and the highest value; a contender that takes a minute or
  longer runs once. A ratio is a ratio of medians, with the lowest and the highest ratio of two consecutive runs.

![Seconds over rows]({seconds})
![Peak memory over rows]({memory})

## How to repeat it

```
make bench                                          # everything; an hour or more
.venv/bin/python -m benchmarks submission dry_run   # these comparisons only; updates this page
.venv/bin/python -m benchmarks --quick              # a few rows: checks that everything runs; no figures
```

A comparison is a module in `benchmarks/comparisons/`, found automatically:
{names}.
"""


def render_page(comparisons: Mapping[str, Comparison], results: Mapping[str, Result]) -> str:
    """The whole page."""
    verdicts = [
        target.is_met(target.read(results[name].series))
        for name, comparison in comparisons.items()
        for target in comparison.targets
    ]
    head = TEMPLATE.format(
        machine=_join_distinct(result.machine for result in results.values()),
        day=_join_distinct(result.date for result in results.values()),
        met=sum(verdicts),
        targets=len(verdicts),
        seconds=SECONDS,
        memory=MEMORY,
        names=", ".join(f"`{name}`" for name in comparisons),
    )
    return "\n".join(
        [head, *(render_section(comparison, results[name].series) for name, comparison in comparisons.items())]
    )


def render_section(comparison: Comparison, series: SeriesByName, *, judged: bool = True) -> str:
    """One comparison: method, figures, targets; judged: whether to compare the figures with the targets."""
    parts = [f"## {comparison.title}", comparison.about, figures_table(comparison.columns, series)]
    if comparison.targets:
        parts.append(targets_table(comparison.targets, series, judged=judged))
    return "\n\n".join(parts) + "\n"


def figures_table(columns: Sequence[Column], series: SeriesByName) -> str:
    """A table with one row per contender."""
    rows = [
        [one.name, _row_count(one), *(str(figure_range(one, column.figure)) for column in columns)]
        for one in series.values()
    ]
    return _table(["", "rows", *(column.header for column in columns)], rows)


def targets_table(targets: Sequence[Target], series: SeriesByName, *, judged: bool) -> str:
    """A table with one row per target."""
    figures = [(target, target.read(series)) for target in targets]
    rows = [
        [target.description, str(figure), _verdict(target, figure) if judged else "–"] for target, figure in figures
    ]
    return _table(["target", "measured", ""], rows)


def _verdict(target: Target, measured: Range) -> str:
    if math.isnan(measured.median):
        return "–"
    return "met" if target.is_met(measured) else "**missed**"


def _row_count(series: Series) -> str:
    return format_number(series.runs[0].rows)


def _join_distinct(values: Iterable[str]) -> str:
    """The distinct values, joined by "and"."""
    return " and ".join(sorted(set(values)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
