"""Terminal output: progress during a run, the counts at its end. Plain lines if stdout is not a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from labelflow.accounting.progress import RunProgress
from labelflow.accounting.summary import Summary
from labelflow.jobs.connection import describe_connection
from labelflow.jobs.job import Job
from labelflow.operations.cancel import Cancellation
from labelflow.operations.collect import CollectionResult
from labelflow.operations.export import Export
from labelflow.outputs.folders import ERRORS, LABELS, REJECTS
from labelflow.planning.plan import Plan, Preview
from labelflow.problems import printable
from labelflow.records import Outcome, RejectedRow
from labelflow.redaction import strip_signatures

PROGRESS_BARS = ("checked", "submitted", "labeled")
REFRESH_INTERVAL = 0.25  # seconds between two updates on a terminal
FIRST_LINE, LINE_INTERVAL = 2.0, 10.0  # seconds to the first line and between two, if stdout is not a terminal
SHOWN_ROWS = 5

console = Console()


@contextmanager
def show_progress(counts: RunProgress) -> Iterator[None]:
    """Show the progress while the block runs, from a thread."""
    finished = threading.Event()
    show = _show_bars if console.is_terminal else _show_lines
    thread = threading.Thread(target=show, args=(counts, finished), name="display", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _show_bars(counts: RunProgress, finished: threading.Event) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bars = [progress.add_task(name, total=None, state="") for name in PROGRESS_BARS]
        rates = RateEstimator()
        while not finished.wait(REFRESH_INTERVAL):
            for bar, (done, total, state) in zip(bars, _bars(counts, rates), strict=True):
                progress.update(bar, completed=done, total=total or None, state=state)


def _bars(counts: RunProgress, rates: RateEstimator) -> list[tuple[int, int, str]]:
    """Return done, total (0: not known yet) and text of each bar."""
    processed = counts.submitted + counts.rejected + counts.over_cap
    tasks = counts.submitted if counts.total else 0
    checked = f"{counts.checked:,} of {counts.read:,} rows read" if counts.read else "starting"
    new = counts.created + counts.recovered
    rate = rates.rate("submitted", new)
    submitted = f"{counts.submitted:,} rows, {new:,} of them new"
    submitted += f" at {rate:,.0f}/s" if new else ""
    submitted += f", {counts.rejected:,} rejected{rates.remaining('processed', processed, counts.total)}"
    known = max(counts.submitted, counts.finished)
    labeled = f"{counts.labeled:,} of {known:,} tasks{rates.remaining('finished', counts.finished, tasks)}"
    labeled += f", {displayable(counts.outage)}" if counts.outage else ""
    return [
        (counts.checked, counts.total, checked),
        (processed, counts.total, submitted),
        (counts.finished, tasks, labeled),
    ]


def _show_lines(counts: RunProgress, finished: threading.Event) -> None:
    rates, interval = RateEstimator(), FIRST_LINE
    while not finished.wait(interval):
        interval = LINE_INTERVAL
        bars = zip(PROGRESS_BARS, _bars(counts, rates), strict=True)
        text = "; ".join(f"{name}: {state}" for name, (_, _, state) in bars)
        print(text if counts.read else "starting Prefect", flush=True)


class RateEstimator:
    """Rates of growing counts, from the start of their growth to the last increase: waiting does not lower them."""

    def __init__(self) -> None:
        self._samples: dict[
            str, list[tuple[float, int]]
        ] = {}  # by name: (time, count) before the first increase, and at the last one

    def rate(self, name: str, number: int) -> float:
        """Return the growth of a count per second."""
        samples = self._samples.setdefault(name, [])
        sample = (time.monotonic(), number)
        if not samples or samples[0][1] == number:
            samples[:] = [sample]
        elif samples[-1][1] != number:
            samples[1:] = [sample]
        (start, first), (end, last) = samples[0], samples[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def remaining(self, name: str, number: int, total: int) -> str:
        """Return the time until a count reaches its total, like ", 1m 30s left"; empty if it is not known."""
        rate = self.rate(name, number)
        if rate <= 0 or number >= total:
            return ""
        seconds = round((total - number) / rate)
        hours, minutes = divmod(seconds // 60, 60)
        return f", {hours}h {minutes:02}m left" if hours else f", {minutes}m {seconds % 60:02}s left"


def print_connections(jobs: Iterable[Job]) -> None:
    """Print the server, the mode and the source of the key of some jobs, each combination once."""
    for text in dict.fromkeys(map(describe_connection, jobs)):
        print_line(text)


def print_summary(summary: Summary, plan: Plan) -> None:
    """Print the counts, what this run did, and the paths of the files."""
    table = Table(title=Text(summary.job), title_justify="left", title_style="bold")
    for outcome in ("rows", *(outcome.value for outcome in Outcome)):
        table.add_column(outcome, justify="right")
    table.add_row(*(f"{getattr(summary, column.header):,}" for column in table.columns))  # type: ignore[arg-type]
    console.print(table)
    print_line(_describe_run(summary))
    _print_remarks(plan)
    if plan.progress.first_invalid_response:
        text = f"invalid response to a task creation: {plan.progress.first_invalid_response}"
        print_line(text)
    if summary.rejected:
        print_rows("rejected", plan.unsubmitted.rejected, len(plan.unsubmitted.rejected))
    if summary.changed:
        print_rows("changed", _in_order(plan.unsubmitted.changed), plan.progress.changed)
    for name, number in (
        (LABELS, summary.labeled),
        (REJECTS, summary.rejected),
        (ERRORS, summary.error + summary.canceled),
    ):
        if number:
            print_line(f"{name:<9} {plan.context.folder.uri}/{name}")


def print_interrupted(counts: RunProgress) -> None:
    """Print what a run had done when it was stopped."""
    done = f"{counts.created:,} tasks created, {counts.rejected:,} rows rejected, {counts.labeled:,} rows labeled"
    print_line(f"{done}; {counts.read:,} rows read so far")


def _describe_run(summary: Summary) -> str:
    """Return what this run did, in one line."""
    if summary.created:
        parts = [f"{summary.created:,} tasks created"]
    elif summary.not_submitted:
        parts = ["no tasks created"]
    else:
        parts = ["nothing to create: every valid row already has a task"]
    parts += [
        f"{number:,} {text}"
        for number, text in (
            (summary.recovered, "already existed"),
            (summary.not_submitted, "rows not submitted yet"),
            (summary.unparsed, "answers do not match the documented schema (kept in response_json)"),
            (summary.unmatched_callbacks, "callbacks kept whose tasks are not in the ledger"),
            (summary.changed, "rows changed since their task was created (use --relabel changed)"),
            (summary.removed, "tasks of rows that are no longer in the manifest"),
        )
        if number
    ]
    cost = "" if summary.cost is None else f"; cost of the job so far: {summary.cost:,.2f}"
    return ", ".join(parts) + cost


def print_preview(preview: Preview, plan: Plan) -> None:
    """Print what a run would do."""
    table = Table(
        title=Text(f"{plan.context.job.name}: dry run, nothing was sent"), title_justify="left", title_style="bold"
    )
    numbers = {
        "rows": preview.rows,
        "to create": preview.create,
        "to reject": preview.reject,
        "have a task": preview.unchanged,
        "over the cap": preview.over_cap,
    }
    for name in numbers:
        table.add_column(name, justify="right")
    table.add_row(*(f"{number:,}" for number in numbers.values()))
    console.print(table)
    if preview.cost is not None:
        console.print(f"cost: {preview.cost:,.2f}", highlight=False)
    _print_remarks(plan)
    print_rows("rejected", plan.unsubmitted.rejected, len(plan.unsubmitted.rejected))
    print_rows("changed", _in_order(plan.unsubmitted.changed), plan.progress.changed)


def _print_remarks(plan: Plan) -> None:
    for remark in plan.remarks:
        print_line(remark)


def _in_order(rows: Iterable[RejectedRow]) -> list[RejectedRow]:
    return sorted(rows, key=lambda reject: reject.row.number)


def print_rows(kind: str, rows: Iterable[RejectedRow], number: int) -> None:
    """Print the first of `number` rejected or changed rows, with the reasons."""
    for reject in islice(rows, SHOWN_ROWS):
        name = f" ({reject.row_id})" if reject.row_id else ""
        text = f"{kind}: row {reject.row.number}{name}: {reject.problem}"
        print_line(text)
    if number > SHOWN_ROWS:
        console.print(f"… and {number - SHOWN_ROWS:,} more", highlight=False)


def print_collection_results(results: Sequence[CollectionResult]) -> None:
    """Print what was collected, one line per job."""
    if not results:
        return
    table = Table()
    for name in ("job", "new labels", "new errors", "tasks pending", "rows pending", "output"):
        table.add_column(name, justify="left" if name in ("job", "output") else "right", overflow="fold")
    for result in results:
        pending = "complete" if result.was_skipped else "unknown"
        pending = f"{result.summary.pending:,}" if result.summary else pending
        numbers = [f"{number:,}" for number in (result.labeled, result.errors, result.waiting)]
        table.add_row(displayable(result.job), *numbers, pending, Text(displayable(result.output)))
    console.print(table)
    for result in results:
        for warning in result.warnings:
            print_line(warning)


def print_export(result: Export) -> None:
    """Print what an export has written and left out."""
    for part, counts in result.counts.items():
        name = f"{part}: " if len(result.counts) > 1 else ""
        print_line(f"{name}{counts.rows:,} of {counts.labels:,} labels with {counts.items:,} items")
        for kind, omitted in (("labels", counts.omitted_rows), ("items", counts.omitted_items)):
            for reason, number in sorted(omitted.items()):
                print_line(f"{name}left out: {number:,} {kind}: {reason}")
    print_line(f"{result.format:<9} {result.dest}: {', '.join(result.files)}")


def print_cancellation(result: Cancellation) -> None:
    """Print how many tasks were canceled, and the rows whose tasks were not."""
    message = f"{result.canceled:,} tasks canceled, {result.already_finished:,} had already finished"
    message += f", {result.already_canceled:,} were canceled before" if result.already_canceled else ""
    console.print(message, highlight=False)
    for reason, rows in (
        ("not canceled, finished in the meantime", result.too_late),
        ("not canceled, the API does not know the task", result.not_found),
        ("not canceled, the row has no task", result.without_task),
    ):
        if rows:
            more = f" … and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
            print_line(f"{reason}: {', '.join(rows[:SHOWN_ROWS])}{more}")


def print_line(text: str) -> None:
    """Print a line that may contain row ids and messages of servers."""
    console.print(displayable(text), highlight=False, markup=False, soft_wrap=True)


def displayable(text: str) -> str:
    """Return a text without URL signatures and terminal control characters, on one line."""
    return printable(strip_signatures(text).replace("\n", "\\n"))
