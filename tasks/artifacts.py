"""What Prefect's UI shows of a job: its progress, its counts, its files, and rows without a label."""

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
from labelflow.outputs.folders import ERRORS, LABELS, REJECTS
from labelflow.outputs.unlabeled_sample import sample_unlabeled_rows
from labelflow.problems import escape_markdown
from labelflow.records import Outcome
from labelflow.storage.folder import Folder
from tasks.events import best_effort

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact as ArtifactResponse

UPDATE_INTERVAL = 5.0  # seconds


class ProgressArtifact:
    """A progress bar in the UI: how many of the rows read so far have ended. Updated every few seconds."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._artifact: UUID | None = None
        self._next_update = 0.0

    @best_effort()
    def show(self, counts: RunProgress) -> None:
        """Show the current progress. The final state is always shown."""
        ended = counts.finished + counts.rejected
        is_final = 0 < counts.total <= ended
        if time.monotonic() < self._next_update and not is_final:
            return
        self._next_update = time.monotonic() + UPDATE_INTERVAL
        percent = 100.0 * ended / max(1, counts.total or counts.read)
        text = f"{self._job}: {counts.read:,} rows read, {counts.submitted:,} submitted, {counts.labeled:,} labeled"
        if self._artifact is None:
            artifact_id = create_progress_artifact(percent, f"{artifact_key(self._job)}-progress", text)
            self._artifact = cast("UUID", artifact_id)  # a coroutine only if an event loop runs
        else:
            update_progress_artifact(self._artifact, percent, text)


@best_effort()
def show_summary(folder: Folder, summary: Summary) -> None:
    """Show the progress, the counts, links to the files, and some of the rows without a label."""
    key = artifact_key(summary.job)
    _show_progress(f"{key}-progress", summary)
    create_table_artifact(
        key=f"{key}-counts", table=[_counts(summary)], description=f"{summary.job}: number of rows by outcome"
    )
    rows = sample_unlabeled_rows(folder)
    if rows:
        description = (
            f"{summary.job}: rows that ended without a label, with the reason "
            f"({len(rows):,} of {summary.unlabeled:,} are shown)"
        )
        escaped = [{name: escape_markdown(str(value or "")) for name, value in row.items()} for row in rows]
        create_table_artifact(key=f"{key}-unlabeled", table=escaped, description=description)
    files = "\n".join(f"- {link(f'{folder.uri}/{name}')}" for name in (LABELS, REJECTS, ERRORS, FILE))
    create_markdown_artifact(files, key=f"{key}-files", description=f"{summary.job}: output files")


def _show_progress(key: str, summary: Summary) -> None:
    """Update the bar that the labeling run created, so that it continues after the end of that run."""
    percent = 100.0 * (summary.rows - summary.pending) / max(1, summary.rows)
    text = f"{summary.job}: {summary.labeled:,} of {summary.rows:,} rows labeled, {summary.pending:,} pending"
    existing = cast("ArtifactResponse | None", Artifact.get(key))
    if existing:
        update_progress_artifact(existing.id, percent, text)
    else:
        create_progress_artifact(percent, key, text)


def link(location: str) -> str:
    """Return a path or URI as a Markdown link."""
    uri = location if "://" in location else f"file://{Path(location).absolute()}" + "/" * location.endswith("/")
    return f"[`{location}`]({quote(uri, safe=':/')})"


def artifact_key(job: str) -> str:
    """Return a job's key for Prefect: lower-case letters, digits and dashes. Different names have different keys.

    >>> artifact_key("street-boxes")
    'label-street-boxes'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")
    return f"label-{plain}" if plain == job else f"label-{plain}-{sha256(job.encode()).hexdigest()[:8]}"


def _counts(summary: Summary) -> dict[str, Any]:
    counts = {name: getattr(summary, name) for name in ("rows", *(outcome.value for outcome in Outcome))}
    return {**counts, "cost": summary.cost}
