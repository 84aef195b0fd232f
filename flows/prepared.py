"""A run that the command line has opened already, so that bad input is told before Prefect is imported."""

from __future__ import annotations

from contextvars import ContextVar

from labeling.job import Job
from labeling.plan import Plan
from labeling.run import Run

prepared_run: ContextVar[Run | None] = ContextVar("prepared_run", default=None)


def open_run(job: Job, limit: int | None) -> Run:
    """The prepared run, or one opened here and connected to the API."""
    run = prepared_run.get()
    return run or Run(Plan(job, limit=limit))
