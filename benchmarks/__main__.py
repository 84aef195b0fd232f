"""Measure speed and memory of labelflow, compared with common alternatives.

    python -m benchmarks [NAME...] [--runs N] [--quick]

Prints the tables of each comparison. Writes docs/benchmarks.md and its plots once every comparison has a result.
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
    """Parse the command line and run the comparisons."""
    comparisons = all_comparisons()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(comparisons)}; default: all")
    parser.add_argument(
        "--runs", type=_positive, default=5, metavar="N", help="runs of each contender (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="check that everything runs, with a few rows; writes nothing"
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in comparisons]
    if unknown:
        parser.error(f"unknown comparison {unknown[0]!r}; use one of {', '.join(comparisons)}")
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
        print(f"docs/benchmarks.md is not written: no result for {', '.join(missing)}", file=sys.stderr)
    else:
        write_page(DOCS, comparisons, results)


@contextmanager
def _bench_context(folder: Path, options: argparse.Namespace) -> Iterator[BenchContext]:
    runs = 1 if options.quick else options.runs
    with prefect_env.bench_environment(folder, shared=options.quick) as environment:
        yield BenchContext(folder, environment, runs=runs, quick=options.quick)


def measure_all(bench: BenchContext, comparisons: Comparisons) -> None:
    """Measure one comparison after another; each result is saved before the next one starts."""
    for name, comparison in comparisons.items():
        series = comparison.measure(bench)
        save(name, make_result(series))
        print(render_section(comparison, series), flush=True)


def run_quick(bench: BenchContext, comparisons: Comparisons) -> dict[str, Result]:
    """Run all comparisons concurrently, because no time is measured; saves nothing."""
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(QUICK_CONCURRENCY) as pool:
        futures = {name: pool.submit(comparison.measure, bench) for name, comparison in comparisons.items()}
        for name, future in futures.items():
            results[name] = make_result(future.result())
            print(render_section(comparisons[name], results[name].series, judged=False), flush=True)
    return results


def write_page(folder: Path, comparisons: Comparisons, results: Mapping[str, Result]) -> None:
    """Write the page and its plots."""
    write_plots(folder, [result.series for result in results.values()])
    (folder / "benchmarks.md").write_text(render_page(comparisons, results), encoding="utf-8")


def _stop() -> None:
    """Terminate all child processes and exit."""
    terminate_all()
    sys.exit(128 + signal.SIGTERM)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid number of runs; use 1 or more")
    return int(text)


if __name__ == "__main__":
    main()
