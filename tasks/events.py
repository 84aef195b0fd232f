"""Events that Prefect automations can react to.

labelflow.labels.written  new rows are in labels/ or errors/; payload: labeled, errors, waiting, output
labelflow.job.completed   every row has ended; emitted once each time a job is closed; payload: the numbers of
                          summary.json, output
labelflow.job.stalled     no answer has arrived for `collect.stalled_after`; emitted by each pass until one arrives;
                          payload: seconds, waiting, output
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from labelflow.accounting.summary import Summary
from labelflow.jobs.job import Job
from labelflow.storage.folder import Folder

SEND_TIMEOUT = 10.0  # seconds
LABELS_WRITTEN, JOB_COMPLETED = "labelflow.labels.written", "labelflow.job.completed"
JOB_STALLED = "labelflow.job.stalled"


@contextmanager
def best_effort() -> Iterator[None]:
    """Log a failed report as a warning: artifacts and events must not end a run."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("A report to Prefect failed: %s", type(error).__name__)


def emit_job_completed(folder: Folder, summary: Summary) -> None:
    """Emit that every row of a job has ended. Returns once the event is sent; raises if it is not."""
    numbers = {name: value for name, value in asdict(summary).items() if isinstance(value, int | float)}
    _emit(JOB_COMPLETED, summary.job, {**numbers, "output": folder.uri})
    _wait_until_sent()


@best_effort()
def emit_labels_written(job: Job, folder: Folder, labeled: int, errors: int, waiting: int) -> None:
    """Emit that new rows are in labels/ or errors/. waiting: number of pending tasks."""
    numbers = {"labeled": labeled, "errors": errors, "waiting": waiting}
    _emit(LABELS_WRITTEN, job.name, {**numbers, "output": folder.uri})


@best_effort()
def emit_job_stalled(job: Job, folder: Folder, stalled_for: timedelta, waiting: int) -> None:
    """Emit that no answer has arrived for a long time. waiting: number of pending tasks."""
    numbers = {"seconds": round(stalled_for.total_seconds()), "waiting": waiting}
    _emit(JOB_STALLED, job.name, {**numbers, "output": folder.uri})


def _wait_until_sent() -> None:
    """Wait for Prefect's thread that sends the events. Raises TimeoutError after SEND_TIMEOUT."""
    sending = threading.Thread(target=EventsWorker.instance().wait_until_empty, name="events", daemon=True)
    sending.start()
    sending.join(SEND_TIMEOUT)
    if sending.is_alive():
        raise TimeoutError("the events were not sent")


def _emit(event: str, job: str, payload: dict[str, Any]) -> None:
    resource = {"prefect.resource.id": f"labelflow.job.{job}", "prefect.resource.name": job}
    if emit_event(event, resource=resource, payload=payload) is None:
        raise RuntimeError(f"{event} was not sent")
