"""Cancel: take back what people have not done yet. Safe to repeat."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from labelflow.errors import UsageError
from labelflow.ledger.context import ConnectedJob, check_account
from labelflow.manifests import open_manifest
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.scale.errors import NotFound
from labelflow.scale.models import TaskStatus
from labelflow.storage.opening import open_output


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of the tasks of a job: numbers of tasks, and the ids of rows."""

    canceled: int = 0  # now, or by a cancellation before that was not collected yet
    already_finished: int = 0  # before this began: labeled, in error or canceled
    too_late: list[str] = field(default_factory=list)  # rows whose task was completed meanwhile
    not_found: list[str] = field(default_factory=list)  # rows whose task the API does not have
    without_task: list[str] = field(default_factory=list)  # rows that were asked for and have none


def cancel(context: ConnectedJob, row_ids: Collection[str] | None = None) -> Cancellation:
    """Cancel the pending tasks of a job, superseded ones too, or only those of some rows.

    Raises the errors of `labelflow.scale.errors`; what was canceled by then stays canceled.
    """
    check_account(context)
    outcomes = OutcomeIndex(context.folder)
    tasks = [
        (row_id, task_id) for row_id, task_id in context.ledger.all_tasks() if row_ids is None or row_id in row_ids
    ]
    is_pending = outcomes.pending([task_id for _, task_id in tasks])
    pending = [task for task, waits in zip(tasks, is_pending, strict=True) if waits]
    with ThreadPoolExecutor(context.job.submit.concurrency, thread_name_prefix="cancel") as threads:
        futures = [threads.submit(_cancel_one, context, task_id) for _, task_id in pending]
        try:
            fates = [future.result() for future in futures]
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return Cancellation(
        canceled=fates.count(TaskStatus.CANCELED),
        already_finished=len(tasks) - len(pending),
        too_late=_rows(pending, fates, TaskStatus.COMPLETED, TaskStatus.ERROR),
        not_found=_rows(pending, fates, None),
        without_task=sorted(set(row_ids or ()) - {row_id for row_id, _ in tasks}),
    )


def _cancel_one(context: ConnectedJob, task_id: str) -> str | None:
    """The task's status afterwards, None where the API does not have it."""
    context.stop.check()
    try:
        return context.client.cancel_task(task_id).status
    except NotFound:
        return None


def _rows(pending: list[tuple[str, str]], fates: list[str | None], *wanted: str | None) -> list[str]:
    return [row_id for (row_id, _), fate in zip(pending, fates, strict=True) if fate in wanted]


def read_row_ids(uri: str, column: str) -> set[str]:
    """The ids of rows in a manifest, in that column, or in a text file, one a line. Raises UsageError."""
    if not uri.lower().endswith(".txt"):
        manifest = open_manifest(uri)
        if column not in manifest.schema.names:
            raise UsageError(uri, f"has no column {column!r}", "name a manifest of the job, or a .txt file of row ids")
        found = {str(row.values[column]) for row in manifest.rows if row.values.get(column) is not None}
    else:
        folder, _, name = uri.rpartition("/")
        content = open_output(folder or ".").read(name)
        if content is None:
            raise UsageError(uri, "there is no such file", "correct the path")
        found = {line.strip() for line in content.decode("utf-8-sig", "replace").splitlines() if line.strip()}
    if not found:
        raise UsageError(uri, "names no row", "write the id of a row on each line")
    return found
