"""Measure what is claimed about speed and memory, side by side with what a user would run instead.

    python -m benchmarks [NAME...] [--runs N] [--quick]

Prints the tables of each comparison. Once each has been measured, writes docs/benchmarks.md and its plots.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks import prefect_env
from benchmarks.bench import BenchContext
from benchmarks.comparison import Comparison, all_comparisons
from benchmarks.plots import write_plots
from benchmarks.processes import ROOT, terminate_all
from benchmarks.report import render_page, render_section
from benchmarks.results import Result, load, make_result, save

DOCS = ROOT / "docs"
QUICK_CONCURRENCY = 8

Comparisons = Mapping[str, Comparison]


def main() -> None:
    """Read the command line, and measure."""
    comparisons = all_comparisons()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(comparisons)}; all if none is given")
    parser.add_argument("--runs", type=_positive, default=5, metavar="N", help="of each side (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a handful of rows: tells whether it runs, writes nothing")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in comparisons]
    if unknown:
        parser.error(f"there is no comparison {unknown[0]!r}; there are {', '.join(comparisons)}")
    chosen = {name: comparisons[name] for name in options.names or comparisons}
    signal.signal(signal.SIGTERM, lambda *_: _stop())
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, _bench_context(Path(folder), options) as bench:
        if options.quick:
            write_page(Path(folder), chosen, run_quick(bench, chosen))
            return
        measure_all(bench, chosen)
    results = {name: result for name in comparisons if (result := load(name))}
    missing = [name for name in comparisons if name not in results]
    if missing:
        print(f"docs/benchmarks.md is left as it is: {', '.join(missing)} not measured yet", file=sys.stderr)
    else:
        write_page(DOCS, comparisons, results)


@contextmanager
def _bench_context(folder: Path, options: argparse.Namespace) -> Iterator[BenchContext]:
    runs = 1 if options.quick else options.runs
    with prefect_env.bench_environment(folder, shared=options.quick) as environment:
        yield BenchContext(folder, environment, runs=runs, quick=options.quick)


def measure_all(bench: BenchContext, comparisons: Comparisons) -> None:
    """Measure one after another; what has been measured is kept, whatever becomes of the next."""
    for name, comparison in comparisons.items():
        lines = comparison.measure(bench)
        save(name, make_result(lines))
        print(render_section(comparison, lines), flush=True)


def run_quick(bench: BenchContext, comparisons: Comparisons) -> dict[str, Result]:
    """Measure all at once, for nothing is timed, and keep nothing."""
    found: dict[str, Result] = {}
    with ThreadPoolExecutor(QUICK_CONCURRENCY) as pool:
        measuring = {name: pool.submit(comparison.measure, bench) for name, comparison in comparisons.items()}
        for name, future in measuring.items():
            found[name] = make_result(future.result())
            print(render_section(comparisons[name], found[name].lines, judged=False), flush=True)
    return found


def write_page(folder: Path, comparisons: Comparisons, results: Mapping[str, Result]) -> None:
    """Write the page and its plots."""
    write_plots(folder, [result.lines for result in results.values()])
    (folder / "benchmarks.md").write_text(render_page(comparisons, results), encoding="utf-8")


def _stop() -> None:
    """Leave nothing running behind."""
    terminate_all()
    sys.exit(128 + signal.SIGTERM)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs; give 1 or more")
    return int(text)


if __name__ == "__main__":
    main()
