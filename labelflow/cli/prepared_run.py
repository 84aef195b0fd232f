"""What the command passes to its flow: the run that it opened, and the signals that stop it."""

from __future__ import annotations

from contextvars import ContextVar

from labelflow.cli.signals import signals
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.config import with_environment
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.planning.relabel.relabeling import RelabelMode

prepared_run: ContextVar[LabelRun | None] = ContextVar("prepared_run", default=None)


def open_run(job: Job, limit: int | None, relabel: RelabelMode | None, rows: str | None) -> LabelRun:
    """Return the run that the command opened, or open one that is connected to the API."""
    run = prepared_run.get()
    if run is None:
        return LabelRun(Plan(job, limit=limit, relabel=relabel, rows=rows))
    signals.stop_gracefully(run.plan.context.stop)
    return run


def from_parameter(job: Job) -> Job:
    """Return a job that is a parameter of a flow, with the environment of this process.

    A command has done this before: only in a Prefect worker is there something to do.
    """
    return job if signals.is_listening else with_environment(job, default_counts=False)


def stop_token_for_signals() -> StopToken:
    """Return a stop token that Ctrl-C and SIGTERM set. In a Prefect worker, where no command runs, nothing sets it."""
    stop = StopToken()
    if signals.is_listening:
        signals.stop_gracefully(stop)
    return stop
