"""What a person sees: progress while it runs, the counts at the end. Plain lines where there is no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from labelflow.accounting.progress import RunProgress
from labelflow.accounting.summary import Summary
from labelflow.operations.cancel import Cancellation
from labelflow.operations.collect import CollectionResult
from labelflow.outputs.folders import ERRORS, LABELS, REJECTS
from labelflow.planning.plan import Plan, Preview
from labelflow.records import Outcome, RejectedRow
from labelflow.redaction import strip_signatures

PROGRESS_BARS = ("checked", "submitted", "labeled")
REFRESH_INTERVAL = 0.25  # seconds between two looks of the display on a terminal
LINE_INTERVAL = 10.0  # seconds between two lines elsewhere
SHOWN_ROWS = 5

console = Console()


@contextmanager
def show_progress(counts: RunProgress) -> Iterator[None]:
    """Show the progress while the block runs."""
    ended = threading.Event()
    show = _show_bars if console.is_terminal else _show_lines
    thread = threading.Thread(target=show, args=(counts, ended), name="display", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_bars(counts: RunProgress, ended: threading.Event) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bars = [progress.add_task(name, total=None, state="") for name in PROGRESS_BARS]
        clock = RateEstimator()
        while not ended.wait(REFRESH_INTERVAL):
            for bar, (done, total, state) in zip(bars, _bars(counts, clock), strict=True):
                progress.update(bar, completed=done, total=total or None, state=state)


def _bars(counts: RunProgress, clock: RateEstimator) -> list[tuple[int, int, str]]:
    """Done, total (0: not known yet) and words of each bar."""
    settled = counts.submitted + counts.rejected + counts.over_cap
    tasks = counts.submitted if counts.total else 0
    checked = f"{counts.checked:,} of {counts.read:,} rows read"
    submitted = f"{counts.submitted:,} at {clock.rate('submitted', counts.submitted):,.0f}/s"
    submitted += f", {counts.rejected:,} rejected{clock.remaining('settled', settled, counts.total)}"
    labeled = f"{counts.labeled:,} of {counts.submitted:,}{clock.remaining('answered', counts.finished, tasks)}"
    labeled += f", {counts.outage}" if counts.outage else ""
    return [
        (counts.checked, counts.total, checked),
        (settled, counts.total, submitted),
        (counts.finished, tasks, labeled),
    ]


def _show_lines(counts: RunProgress, ended: threading.Event) -> None:
    clock = RateEstimator()
    while not ended.wait(LINE_INTERVAL):
        if not counts.read:  # Prefect is still starting
            continue
        print(
            "  ".join(
                f"{word}: {state}" for word, (_, _, state) in zip(PROGRESS_BARS, _bars(counts, clock), strict=True)
            ),
            flush=True,
        )


class RateEstimator:
    """Rates of what grows, from when it began to grow to when it last grew."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, int]]] = {}  # before it grew, and when it last grew

    def rate(self, name: str, number: int) -> float:
        """How fast a number grew, a second."""
        seen = self._samples.setdefault(name, [])
        now = (time.monotonic(), number)
        if not seen or seen[0][1] == number:
            seen[:] = [now]
        elif seen[-1][1] != number:
            seen[1:] = [now]
        (start, begun), (end, last) = seen[0], seen[-1]
        return (last - begun) / (end - start) if end > start else 0.0

    def remaining(self, name: str, number: int, total: int) -> str:
        """Words for the time until a number reaches its total; none where that cannot be told."""
        rate = self.rate(name, number)
        if rate <= 0 or number >= total:
            return ""
        seconds = round((total - number) / rate)
        hours, minutes = divmod(seconds // 60, 60)
        return f", {hours}h {minutes:02}m left" if hours else f", {minutes}m {seconds % 60:02}s left"


def print_summary(summary: Summary, plan: Plan) -> None:
    """The counts, what this run did, and where the files lie."""
    table = Table(title=summary.job, title_justify="left", title_style="bold")
    for outcome in ("rows", *(outcome.value for outcome in Outcome)):
        table.add_column(outcome, justify="right")
    table.add_row(*(f"{getattr(summary, column.header):,}" for column in table.columns))  # type: ignore[arg-type]
    console.print(table)
    console.print(_describe_run(summary), highlight=False)
    if plan.progress.first_invalid_response:
        text = f"an answer that was not understood: {plan.progress.first_invalid_response}"
        console.print(strip_signatures(text), highlight=False, markup=False, soft_wrap=True)
    if summary.rejected:
        print_rows("rejected", plan.unsubmitted.rejected, len(plan.unsubmitted.rejected))
    if summary.changed:
        print_rows("left alone", plan.unsubmitted.changed, plan.progress.changed)
    for name, number in (
        (LABELS, summary.labeled),
        (REJECTS, summary.rejected),
        (ERRORS, summary.error + summary.canceled),
    ):
        if number:
            console.print(f"{name:<9} {plan.context.folder.uri}/{name}", highlight=False, soft_wrap=True)


def _describe_run(summary: Summary) -> str:
    done = (
        f"{summary.created:,} tasks created"
        if summary.created
        else "nothing created"
        if summary.not_submitted
        else "nothing to create: every row that can has its task"
    )
    if summary.recovered:
        done += f", {summary.recovered:,} found made already"
    if summary.not_submitted:
        done += f", {summary.not_submitted:,} rows not submitted yet"
    if summary.unparsed:
        done += f", {summary.unparsed:,} answers of an unexpected shape (kept in response_json)"
    if summary.unmatched_callbacks:
        done += f", {summary.unmatched_callbacks:,} callbacks kept of tasks that are not in the ledger"
    if summary.changed:
        done += f", {summary.changed:,} rows have changed since their tasks were made"
    if summary.removed:
        done += f", {summary.removed:,} tasks of rows that the manifest no longer has"
    return done + ("" if summary.cost is None else f"; {summary.cost:,.2f} for the job so far")


def print_preview(preview: Preview, plan: Plan) -> None:
    """What a run would do."""
    table = Table(title=f"{plan.context.job.name}: dry run, nothing was sent", title_justify="left", title_style="bold")
    numbers = {
        "rows": preview.rows,
        "to create": preview.create,
        "to reject": preview.reject,
        "have a task": preview.unchanged,
        "held back": preview.over_cap,
    }
    for name in numbers:
        table.add_column(name, justify="right")
    table.add_row(*(f"{number:,}" for number in numbers.values()))
    console.print(table)
    if preview.cost is not None:
        console.print(f"cost: {preview.cost:,.2f}", highlight=False)
    print_rows("rejected", plan.unsubmitted.rejected, len(plan.unsubmitted.rejected))
    print_rows("left alone", plan.unsubmitted.changed, plan.progress.changed)


def print_rows(what: str, rows: list[RejectedRow], number: int) -> None:
    """The first few of so many rows that were rejected, or left alone, with the reasons."""
    ordered = sorted(rows, key=lambda reject: reject.row.number)
    for reject in ordered[:SHOWN_ROWS]:
        name = f" ({reject.row_id})" if reject.row_id else ""
        text = f"{what}: row {reject.row.number}{name}: {reject.problem}"
        console.print(strip_signatures(text), highlight=False, markup=False, soft_wrap=True)
    if number > SHOWN_ROWS:
        console.print(f"… and {number - SHOWN_ROWS:,} more", highlight=False)


def print_collection_results(visited: Sequence[CollectionResult]) -> None:
    """What was found at each job."""
    if not visited:
        return
    table = Table()
    for name in ("job", "new labels", "without one", "waiting", "pending", "output"):
        table.add_column(name, justify="left" if name in ("job", "output") else "right", overflow="fold")
    for visit in visited:
        pending = "closed" if visit.was_skipped else "not counted yet"
        pending = f"{visit.summary.pending:,}" if visit.summary else pending
        numbers = [f"{number:,}" for number in (visit.labeled, visit.errors, visit.waiting)]
        table.add_row(visit.job, *numbers, pending, visit.output)
    console.print(table)


def print_cancellation(result: Cancellation) -> None:
    """What was canceled, and what was not."""
    console.print(
        f"{result.canceled:,} tasks canceled, {result.already_finished:,} had come back before", highlight=False
    )
    for words, rows in (
        ("too late, completed meanwhile", result.too_late),
        ("the API does not have the task of", result.not_found),
        ("without a task", result.without_task),
    ):
        if rows:
            more = f" … and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
            console.print(f"{words}: {', '.join(rows[:SHOWN_ROWS])}{more}", highlight=False, markup=False)
