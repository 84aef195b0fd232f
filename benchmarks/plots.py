"""Two plots over the number of rows: seconds and peak memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.statistics import Figure, Series, SeriesByName, figure_range, format_number, peak, seconds

SECONDS, MEMORY = "benchmarks-seconds.svg", "benchmarks-memory.svg"
INCHES = (6.4, 4.6)

Curves = dict[str, list[Series]]


def write_plots(folder: Path, results: Iterable[SeriesByName]) -> None:
    """Write both plots as SVG files."""
    curves: Curves = {}
    for by_name in results:
        for series in by_name.values():
            if series.curve:
                curves.setdefault(series.curve, []).append(series)
    _plot(folder / SECONDS, "seconds", curves, seconds)
    _plot(folder / MEMORY, "peak memory, MB", curves, peak)


def _plot(path: Path, label: str, curves: Curves, figure: Figure) -> None:
    import matplotlib as mpl  # slow import

    mpl.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    # A fixed salt and no date, so that the same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9}):
        drawing, axes = plt.subplots(figsize=INCHES, layout="constrained")
        for name, curve in curves.items():
            points = sorted((series.runs[0].rows, figure_range(series, figure).median) for series in curve)
            style = "-o" if name.startswith("labelflow") else "--o"
            axes.plot(*zip(*points, strict=True), style, label=name, markersize=4)
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=label)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value)))
            axis.set_minor_formatter(NullFormatter())
        axes.grid(which="major", alpha=0.3)
        drawing.legend(loc="outside lower center", ncols=2, frameon=False)
        drawing.savefig(path, metadata={"Date": None})
        plt.close(drawing)
