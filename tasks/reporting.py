"""What Prefect's UI shows of a job, and the events that automations can start from.

labelflow.labels.landed   new rows are in labels/; payload: labeled, errors, waiting, output
labelflow.job.through     every row has ended; payload: the numbers of summary.json, output
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.events import emit_event

from labeling.counts import Counts
from labeling.job import Job
from labeling.outcomes import ERRORS, LABELS
from labeling.rejecting import REJECTS
from labeling.samples import unlabeled_rows
from labeling.stages import Outcome
from labeling.storage import Folder
from labeling.summary import FILE, Summary
from labeling.visiting import Visited

PROGRESS_EVERY = 5.0  # seconds
LABELS_LANDED, JOB_THROUGH = "labelflow.labels.landed", "labelflow.job.through"


@contextmanager
def beside_the_work() -> Iterator[None]:
    """What people are shown must not end the work: trouble with it is a warning."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("Prefect did not take a report: %s", type(error).__name__)


class Progress:
    """A progress bar in the UI: of the rows read so far, those that have ended. Written every few seconds at most."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._artifact: UUID | None = None
        self._next = 0.0

    @beside_the_work()
    def show(self, counts: Counts) -> None:
        """Show how far it is."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PROGRESS_EVERY
        percent = 100.0 * (counts.answered + counts.rejected) / max(1, counts.total or counts.read)
        words = f"{self._job}: {counts.read:,} rows read, {counts.submitted:,} submitted, {counts.labeled:,} labeled"
        if self._artifact is None:
            made = create_progress_artifact(percent, f"{artifact_key(self._job)}-progress", words)
            self._artifact = cast("UUID", made)  # it is a coroutine only where an event loop runs
        else:
            update_progress_artifact(self._artifact, percent, words)


def report_visit(job: Job, folder: Folder, visited: Visited) -> None:
    """Tell of what a visit found; of nothing where it found nothing."""
    if not visited.labeled and not visited.errors:
        return
    tell_landed(job, folder, visited.labeled, visited.errors, visited.waiting)
    if visited.summary:
        report_summary(folder, visited.summary)


@beside_the_work()
def report_summary(folder: Folder, summary: Summary) -> None:
    """Show the counts, and some of the rows without a label; where every row has ended, tell so."""
    key = artifact_key(summary.job)
    create_table_artifact(
        key=f"{key}-counts", table=[_counts(summary)], description=f"{summary.job}: where the rows are"
    )
    rows = unlabeled_rows(folder)
    if rows:
        ended = summary.unlabeled
        description = f"{summary.job}: {len(rows):,} of the {ended:,} rows that ended without a label, and why"
        create_table_artifact(key=f"{key}-unlabeled", table=rows, description=description)
    files = "\n".join(f"- `{folder.uri}/{name}`" for name in (LABELS, REJECTS, ERRORS, FILE))
    create_markdown_artifact(files, key=f"{key}-files", description=f"{summary.job}: the files")
    if summary.pending == 0:
        numbers = {name: value for name, value in asdict(summary).items() if isinstance(value, int | float)}
        _tell(JOB_THROUGH, summary.job, {**numbers, "output": folder.uri})


@beside_the_work()
def tell_landed(job: Job, folder: Folder, labeled: int, errors: int, waiting: int) -> None:
    """New rows are in labels/ or errors/."""
    numbers = {"labeled": labeled, "errors": errors, "waiting": waiting}
    _tell(LABELS_LANDED, job.name, {**numbers, "output": folder.uri})


def artifact_key(job: str) -> str:
    """A job's name as Prefect takes it for a key: small letters, digits and dashes."""
    return "label-" + re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")


def _counts(summary: Summary) -> dict[str, Any]:
    counts = {name: getattr(summary, name) for name in ("rows", *(outcome.value for outcome in Outcome))}
    return {**counts, "cost": summary.cost}


def _tell(event: str, job: str, payload: dict[str, Any]) -> None:
    resource = {"prefect.resource.id": f"labelflow.job.{job}", "prefect.resource.name": job}
    emit_event(event, resource=resource, payload=payload)
