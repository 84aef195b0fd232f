"""Events that Prefect automations can react to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from labelflow.accounting.summary import Summary
from labelflow.jobs.job import Job
from labelflow.operations import completion
from labelflow.storage.folder import Folder

if TYPE_CHECKING:
    pass

SEND_TIMEOUT = 10.0  # seconds
LABELS_WRITTEN, JOB_COMPLETED = "labelflow.labels.written", "labelflow.job.completed"


@contextmanager
def best_effort() -> Iterator[None]:
    """What people are shown must not end the work: trouble with it is a warning."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("Prefect did not take a report: %s", type(error).__name__)


@best_effort()
def close(folder: Folder, summary: Summary, mark: str) -> None:
    """Tell that every row has ended, unless that was told, and note it then: so it is told at least once.

    mark: of what was there before; see `labelflow.operations.collect`.
    """
    before = completion.read_closed(folder)
    if before is None or before.state_digest != mark:
        numbers = {name: value for name, value in asdict(summary).items() if isinstance(value, int | float)}
        _emit(JOB_COMPLETED, summary.job, {**numbers, "output": folder.uri})
        _wait_until_sent()
    completion.close(folder, summary, mark)


@best_effort()
def emit_labels_written(job: Job, folder: Folder, labeled: int, errors: int, waiting: int) -> None:
    """New rows are in labels/ or errors/."""
    numbers = {"labeled": labeled, "errors": errors, "waiting": waiting}
    _emit(LABELS_WRITTEN, job.name, {**numbers, "output": folder.uri})


def _wait_until_sent() -> None:
    """Events leave by a thread of Prefect's. Raises TimeoutError where it does not get rid of them."""
    waiting = threading.Thread(target=EventsWorker.instance().wait_until_empty, name="events", daemon=True)
    waiting.start()
    waiting.join(SEND_TIMEOUT)
    if waiting.is_alive():
        raise TimeoutError("the events were not sent")


def _emit(event: str, job: str, payload: dict[str, Any]) -> None:
    resource = {"prefect.resource.id": f"labelflow.job.{job}", "prefect.resource.name": job}
    if emit_event(event, resource=resource, payload=payload) is None:
        raise RuntimeError(f"{event} was not sent")
