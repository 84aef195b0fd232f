"""What Prefect's UI shows of a job, and the events that automations can start from.

labelflow.labels.written   new rows are in labels/; payload: labeled, errors, waiting, output
labelflow.job.completed     every row has ended, once for each time that a job is closed; payload: the numbers of
                          summary.json, output
"""

from __future__ import annotations

import re
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote
from uuid import UUID

from prefect.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from labelflow.accounting.progress import RunProgress
from labelflow.accounting.summary import FILE, Summary
from labelflow.jobs.job import Job
from labelflow.operations import completion
from labelflow.operations.collect import CollectionResult
from labelflow.outputs.folders import ERRORS, LABELS, REJECTS
from labelflow.outputs.unlabeled_rows import unlabeled_rows
from labelflow.records import Outcome
from labelflow.storage.folder import Folder
from tasks.events import best_effort, close, emit_labels_written

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact as ArtifactResponse

UPDATE_INTERVAL = 5.0  # seconds


class ProgressArtifact:
    """A progress bar in the UI: of the rows read so far, those that have ended. Written every few seconds at most."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._artifact: UUID | None = None
        self._next = 0.0

    @best_effort()
    def show(self, counts: RunProgress) -> None:
        """Show how far it is; the end is always shown."""
        ended = counts.finished + counts.rejected
        is_the_end = 0 < counts.total <= ended
        if time.monotonic() < self._next and not is_the_end:
            return
        self._next = time.monotonic() + UPDATE_INTERVAL
        percent = 100.0 * ended / max(1, counts.total or counts.read)
        words = f"{self._job}: {counts.read:,} rows read, {counts.submitted:,} submitted, {counts.labeled:,} labeled"
        if self._artifact is None:
            made = create_progress_artifact(percent, f"{artifact_key(self._job)}-progress", words)
            self._artifact = cast("UUID", made)  # it is a coroutine only where an event loop runs
        else:
            update_progress_artifact(self._artifact, percent, words)


def report_collection(job: Job, folder: Folder, visited: CollectionResult) -> None:
    """Tell of what a visit found, of nothing where it found nothing; close a job of which every row has ended."""
    if visited.labeled or visited.errors:
        emit_labels_written(job, folder, visited.labeled, visited.errors, visited.waiting)
        if visited.summary:
            show_summary(folder, visited.summary)
    if visited.summary and visited.is_complete:
        close(folder, visited.summary, visited.state_digest)


def report_summary(folder: Folder, summary: Summary) -> None:
    """Show how a job stands at the end of a run; close it where every row has ended."""
    show_summary(folder, summary)
    if summary.pending == 0:
        left = completion.pending_callback_files(folder) if summary.unmatched_callbacks else []
        close(folder, summary, completion.digest_state(completion.ledger_digest(folder), left))


@best_effort()
def show_summary(folder: Folder, summary: Summary) -> None:
    """Show the progress, the counts, where the files are, and some of the rows without a label."""
    key = artifact_key(summary.job)
    _show_progress(f"{key}-progress", summary)
    create_table_artifact(
        key=f"{key}-counts", table=[_counts(summary)], description=f"{summary.job}: where the rows are"
    )
    rows = unlabeled_rows(folder)
    if rows:
        ended = summary.unlabeled
        description = f"{summary.job}: {len(rows):,} of the {ended:,} rows that ended without a label, and why"
        create_table_artifact(key=f"{key}-unlabeled", table=rows, description=description)
    files = "\n".join(f"- {link(f'{folder.uri}/{name}')}" for name in (LABELS, REJECTS, ERRORS, FILE))
    create_markdown_artifact(files, key=f"{key}-files", description=f"{summary.job}: the files")


def _show_progress(key: str, summary: Summary) -> None:
    """In the bar that the labeling run began, so that it goes on when that run has left."""
    percent = 100.0 * (summary.rows - summary.pending) / max(1, summary.rows)
    words = f"{summary.job}: {summary.labeled:,} of {summary.rows:,} rows labeled, {summary.pending:,} pending"
    begun = cast("ArtifactResponse | None", Artifact.get(key))
    if begun:
        update_progress_artifact(begun.id, percent, words)
    else:
        create_progress_artifact(percent, key, words)


def link(location: str) -> str:
    """A path or URI as a link in Markdown."""
    uri = location if "://" in location else f"file://{Path(location).absolute()}" + "/" * location.endswith("/")
    return f"[`{location}`]({quote(uri, safe=':/')})"


def artifact_key(job: str) -> str:
    """A job's name as Prefect takes it for a key: small letters, digits and dashes; each name has one of its own."""
    plain = re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")
    return f"label-{plain}" if plain == job else f"label-{plain}-{sha256(job.encode()).hexdigest()[:8]}"


def _counts(summary: Summary) -> dict[str, Any]:
    counts = {name: getattr(summary, name) for name in ("rows", *(outcome.value for outcome in Outcome))}
    return {**counts, "cost": summary.cost}
