"""Two plots over the number of rows: how long it takes, and how much memory it holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.statistics import Figure, Series, SeriesByName, figure_range, format_number, peak, seconds

SECONDS, MEMORY = "benchmarks-seconds.svg", "benchmarks-memory.svg"
INCHES = (6.4, 4.6)

Curves = dict[str, list[Series]]


def write_plots(folder: Path, results: Iterable[SeriesByName]) -> None:
    """Write both."""
    curves: Curves = {}
    for lines in results:
        for line in lines.values():
            if line.curve:
                curves.setdefault(line.curve, []).append(line)
    _plot(folder / SECONDS, "seconds", curves, seconds)
    _plot(folder / MEMORY, "peak memory, MB", curves, peak)


def _plot(path: Path, what: str, curves: Curves, figure: Figure) -> None:
    import matplotlib as mpl  # takes its time

    mpl.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    # A salt, and no date: the same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9}):
        drawing, axes = plt.subplots(figsize=INCHES, layout="constrained")
        for name, lines in curves.items():
            points = sorted((line.runs[0].rows, figure_range(line, figure).median) for line in lines)
            style = "-o" if name.startswith("labelflow") else "--o"
            axes.plot(*zip(*points, strict=True), style, label=name, markersize=4)
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=what)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value)))
            axis.set_minor_formatter(NullFormatter())
        axes.grid(which="major", alpha=0.3)
        drawing.legend(loc="outside lower center", ncols=2, frameon=False)
        drawing.savefig(path, metadata={"Date": None})
        plt.close(drawing)
