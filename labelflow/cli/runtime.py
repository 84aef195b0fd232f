"""What the flows need from the command line: the run that it opened, its signals, the garbage collector's settings."""

from __future__ import annotations

import gc
from contextvars import ContextVar

from labelflow.cli.signals import signals
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.planning.relabeling import RelabelMode

YOUNG_OBJECTS = 20_000  # allocations that start a collection of the youngest generation; Python's default is 700
OLDER_COLLECTIONS = 20  # collections of a generation before the next older one is collected

prepared_run: ContextVar[LabelRun | None] = ContextVar("prepared_run", default=None)


def open_run(job: Job, limit: int | None, relabel: RelabelMode | None) -> LabelRun:
    """Return the run that the command opened, or open one that is connected to the API."""
    run = prepared_run.get()
    if run is None:
        return LabelRun(Plan(job, limit=limit, relabel=relabel))
    signals.stop_gracefully(run.plan.context.stop)
    return run


def stop_token_for_signals() -> StopToken:
    """Return a stop token that Ctrl-C and SIGTERM set. In a Prefect worker, where no command runs, nothing sets it."""
    stop = StopToken()
    if signals.is_listening:
        signals.stop_gracefully(stop)
    return stop


def tune_garbage_collector() -> None:
    """Make the garbage collector run rarely, and exclude the modules imported so far from its scans.

    Rows and answers, which a run creates by the million, form no reference cycles: reference counting frees them.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, OLDER_COLLECTIONS, OLDER_COLLECTIONS)
