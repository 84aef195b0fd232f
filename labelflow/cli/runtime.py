"""What the command line has prepared for a flow: a run that is open already, and ears for signals."""

from __future__ import annotations

from contextvars import ContextVar

from labelflow.cli.signals import signals
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.planning.relabeling import Relabel

prepared_run: ContextVar[LabelRun | None] = ContextVar("prepared_run", default=None)


def open_run(job: Job, limit: int | None, relabel: Relabel | None) -> LabelRun:
    """The prepared run, or one opened here and connected to the API."""
    run = prepared_run.get()
    if run is None:
        return LabelRun(Plan(job, limit=limit, relabel=relabel))
    signals.stop_gracefully(run.plan.context.stop)
    return run


def stop_token_for_signals() -> StopToken:
    """A stop that Ctrl-C and SIGTERM set, where a command listens for them; on a worker Prefect does."""
    stop = StopToken()
    if signals.is_listening:
        signals.stop_gracefully(stop)
    return stop
