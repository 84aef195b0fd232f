"""The table of `labelflow status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.table import Table
from rich.text import Text

from labelflow.cli.display import console, displayable, print_line
from labelflow.operations.status import JobStatus

OUTCOMES = ("rows", "labeled", "rejected", "error", "canceled", "pending")


def print_statuses(statuses: Sequence[JobStatus]) -> None:
    """Print a line for each job, then who works on it and what the user can do."""
    table = Table()
    table.add_column("job", overflow="fold")
    for name in (*OUTCOMES, "cost", "updated"):
        table.add_column(name, justify="right")
    for status in statuses:
        counts = [f"{getattr(status.counts, name):,}" for name in OUTCOMES]
        counts[0] += "" if status.is_scanned else "+"
        cost = "" if status.counts.cost is None else f"{status.counts.cost:,.2f}"
        table.add_row(Text(displayable(status.job)), *counts, cost, format_age(status.age))
    console.print(table)
    for status in statuses:
        print_line(f"{status.job}: {status.next_step} ({status.output}, {status.mode} tasks of {status.server})")
        for text in (*status.active, *(f"interrupted: {record}" for record in status.interrupted)):
            print_line(f"  {text}")


def format_age(age: timedelta | None) -> str:
    """Return an age in its largest unit.

    >>> format_age(timedelta(hours=30)), format_age(timedelta(seconds=59)), format_age(None)
    ('1 d ago', '59 s ago', 'never')
    """
    if age is None:
        return "never"
    seconds = int(age.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
