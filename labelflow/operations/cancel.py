"""Cancel the pending tasks of a job. Safe to repeat."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from labelflow.concurrency.lease import RUNS, read_abandoned
from labelflow.errors import InvalidInput
from labelflow.ledger.context import ConnectedJob, check_account
from labelflow.manifests import open_manifest
from labelflow.operations.account import list_unrecorded
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.scale.errors import NotFound
from labelflow.scale.models import TaskStatus
from labelflow.storage.opening import open_output


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The result of a cancellation: numbers of tasks, and row ids."""

    canceled: int = 0  # by this call, or by an earlier one whose result is not collected yet
    already_finished: int = 0  # finished before this call: labeled, in error or canceled
    too_late: list[str] = field(default_factory=list)  # rows whose task was completed during the call
    not_found: list[str] = field(default_factory=list)  # rows whose task does not exist on the server
    without_task: list[str] = field(default_factory=list)  # requested rows that have no task


def cancel(context: ConnectedJob, row_ids: Collection[str] | None = None) -> Cancellation:
    """Cancel the pending tasks of a job, superseded ones included, and those that an interrupted run has not recorded.

    row_ids: cancel only the tasks of these rows; None for all rows.
    Raises InvalidInput if the tasks belong to another account, and the errors of `labelflow.scale.errors`; tasks that
    were canceled before the error stay canceled.
    """
    check_account(context)
    outcomes = OutcomeIndex(context.folder)
    known = [*context.ledger.all_tasks(), *_unrecorded_tasks(context)]
    tasks = [(row_id, task_id) for row_id, task_id in known if row_ids is None or row_id in row_ids]
    is_pending = outcomes.pending([task_id for _, task_id in tasks])
    pending = [task for task, pending_now in zip(tasks, is_pending, strict=True) if pending_now]
    with ThreadPoolExecutor(context.job.submit.concurrency, thread_name_prefix="cancel") as threads:
        futures = [threads.submit(_cancel_one, context, task_id) for _, task_id in pending]
        try:
            statuses = [future.result() for future in futures]
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return Cancellation(
        canceled=statuses.count(TaskStatus.CANCELED),
        already_finished=len(tasks) - len(pending),
        too_late=_rows(pending, statuses, TaskStatus.COMPLETED, TaskStatus.ERROR),
        not_found=_rows(pending, statuses, None),
        without_task=sorted(set(row_ids or ()) - {row_id for row_id, _ in tasks}),
    )


def _unrecorded_tasks(context: ConnectedJob) -> list[tuple[str, str]]:
    """The row_id and task_id of the tasks that interrupted runs have created and not recorded."""
    unrecorded = list_unrecorded(context, read_abandoned(context.folder, RUNS), context.stop.check)
    return [(row_id, task.task_id) for (row_id, _), task in unrecorded.items()]


def _cancel_one(context: ConnectedJob, task_id: str) -> str | None:
    """Cancel a task. Returns its status afterwards; None if it does not exist on the server."""
    context.stop.check()
    try:
        return context.client.cancel_task(task_id).status
    except NotFound:
        return None


def _rows(pending: list[tuple[str, str]], statuses: list[str | None], *wanted: str | None) -> list[str]:
    return [row_id for (row_id, _), status in zip(pending, statuses, strict=True) if status in wanted]


def read_row_ids(uri: str, column: str) -> set[str]:
    """Read row ids from a manifest or, if the name ends in `.txt`, from a text file with one id per line.

    uri: path or s3:// URI. column: the row id column of a manifest. Raises InvalidInput if there is no id.
    """
    if not uri.lower().endswith(".txt"):
        manifest = open_manifest(uri)
        if column not in manifest.schema.names:
            raise InvalidInput(
                uri, f"has no column {column!r}", "name a manifest of the job, or a .txt file of row ids"
            )
        row_ids = {str(row.values[column]) for row in manifest.rows if row.values.get(column) is not None}
    else:
        path = uri if "://" in uri else str(Path(uri).expanduser().resolve())
        folder, _, name = path.rpartition("/")
        content = open_output(folder or ".").read(name)
        if content is None:
            raise InvalidInput(uri, "there is no such file", "correct the path")
        row_ids = {line.strip() for line in content.decode("utf-8-sig", "replace").splitlines() if line.strip()}
    if not row_ids:
        raise InvalidInput(uri, "contains no row id", "write one row id per line")
    return row_ids
