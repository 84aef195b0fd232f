"""The tables: of one comparison for the terminal, of all of them as docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.comparison import Column, Comparison, Target
from benchmarks.plots import MEMORY, SECONDS
from benchmarks.results import Result
from benchmarks.statistics import Range, Series, SeriesByName, figure_range, format_number

TEMPLATE = """\
# Benchmarks

Written by `make bench`; the figures below are of {machine}, {day}. {met} of {targets} targets are met.

- Against what a user would run instead: (a) Scale's official client in a thread pool, (b) a Prefect flow with one task
  run for each row around that client, (c) a bare `requests.Session` per thread, (d) one GET for each task into pandas,
  (e) one `head_object` for each object. Each is written the way its own documentation shows: `benchmarks/peers/`. All
  sides have 16 requests under way at once.
- The sides of a comparison take turns, in one run on the same server: a stub without a database, which is not what they
  wait for. It has one core, and what is measured another one, with all that it starts, like Prefect's server.
- Everything that is measured is a process of its own. *seconds* are those of the work: from the manifest's first row to
  the last record on disk, which is the `submit` of our summary.json. *start and end* is the rest of the process:
  imports, Prefect's server that starts and ends. The peak of memory is the process's own, without Prefect's server.
- Figures are medians of up to five runs, with the lowest and the highest; what takes a minute or longer runs once. A
  ratio is that of medians, with the lowest and the highest of two runs that followed each other.

![Seconds over rows]({seconds})
![Peak memory over rows]({memory})

## How to repeat it

```
make bench                                          # everything; an hour or more
.venv/bin/python -m benchmarks submission dry_run   # some of it, and the page anew
.venv/bin/python -m benchmarks --quick              # a handful of rows: whether it runs, no figures
```

A comparison is a file in `benchmarks/comparisons/`, found by being there:
{names}.
"""


def render_page(comparisons: Mapping[str, Comparison], results: Mapping[str, Result]) -> str:
    """The whole page."""
    kept = [
        target.is_met(target.read(results[name].lines))
        for name, comparison in comparisons.items()
        for target in comparison.targets
    ]
    head = TEMPLATE.format(
        machine=_join_distinct(result.machine for result in results.values()),
        day=_join_distinct(result.date for result in results.values()),
        met=sum(kept),
        targets=len(kept),
        seconds=SECONDS,
        memory=MEMORY,
        names=", ".join(f"`{name}`" for name in comparisons),
    )
    return "\n".join(
        [head, *(render_section(comparison, results[name].lines) for name, comparison in comparisons.items())]
    )


def render_section(comparison: Comparison, lines: SeriesByName, *, judged: bool = True) -> str:
    """One comparison: how it is measured, figures, targets; judged: whether there are enough rows for that."""
    parts = [f"## {comparison.title}", comparison.about, figures_table(comparison.columns, lines)]
    if comparison.targets:
        parts.append(targets_table(comparison.targets, lines, judged=judged))
    return "\n\n".join(parts) + "\n"


def figures_table(columns: Sequence[Column], lines: SeriesByName) -> str:
    """A row for each side."""
    rows = [
        [line.name, _row_count(line), *(str(figure_range(line, column.figure)) for column in columns)]
        for line in lines.values()
    ]
    return _table(["", "rows", *(column.header for column in columns)], rows)


def targets_table(targets: Sequence[Target], lines: SeriesByName, *, judged: bool) -> str:
    """A row for each target."""
    found = [(target, target.read(lines)) for target in targets]
    rows = [[target.description, str(figure), _verdict(target, figure) if judged else "–"] for target, figure in found]
    return _table(["target", "measured", ""], rows)


def _verdict(target: Target, found: Range) -> str:
    if math.isnan(found.median):
        return "–"
    return "met" if target.is_met(found) else "**missed**"


def _row_count(line: Series) -> str:
    return format_number(line.runs[0].rows)


def _join_distinct(values: Iterable[str]) -> str:
    """What all have in common, or each."""
    return " and ".join(sorted(set(values)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
