"""Cancel the pending tasks of a job. Safe to repeat."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from labelflow.concurrency.lease import RUNS, read_abandoned
from labelflow.errors import InvalidInput
from labelflow.ledger.context import ConnectedJob, check_account
from labelflow.operations.account import list_unrecorded
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.planning.relabel.row_ids_file import match_row_ids
from labelflow.problems import abbreviate
from labelflow.records import Outcome
from labelflow.scale.errors import NotFound
from labelflow.scale.models import TaskStatus


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The result of a cancellation: numbers of tasks, and row ids."""

    canceled: int = 0  # by this call, or by an earlier one whose result is not collected yet
    already_finished: int = 0  # finished before this call: labeled or in error
    already_canceled: int = 0  # canceled before this call
    too_late: list[str] = field(default_factory=list)  # rows whose task was completed during the call
    not_found: list[str] = field(default_factory=list)  # rows whose task does not exist on the server
    without_task: list[str] = field(default_factory=list)  # requested rows that have no task


def cancel(context: ConnectedJob, row_ids: Collection[str] | None = None) -> Cancellation:
    """Cancel the pending tasks of a job, superseded ones included, and those that an interrupted run has not recorded.

    row_ids: cancel only the tasks of these rows, see `match_row_ids`; None for all rows.
    Raises InvalidInput if the tasks belong to another account, or if none of the ids is that of a row with a task; and
    the errors of `labelflow.scale.errors`: tasks that were canceled before the error stay canceled.
    """
    check_account(context)
    outcomes = OutcomeIndex(context.folder)
    known = [*context.ledger.all_tasks(), *_unrecorded_tasks(context)]
    matched, without_task = _match(row_ids, {row_id for row_id, _ in known})
    tasks = [(row_id, task_id) for row_id, task_id in known if matched is None or row_id in matched]
    task_ids = [task_id for _, task_id in tasks]
    finished = outcomes.tally(task_ids)
    is_pending = outcomes.pending(task_ids)
    pending = [task for task, pending_now in zip(tasks, is_pending, strict=True) if pending_now]
    statuses = cancel_tasks(context, [task_id for _, task_id in pending])
    return Cancellation(
        canceled=statuses.count(TaskStatus.CANCELED),
        already_finished=finished[Outcome.LABELED] + finished[Outcome.ERROR],
        already_canceled=finished[Outcome.CANCELED],
        too_late=_rows(pending, statuses, TaskStatus.COMPLETED, TaskStatus.ERROR),
        not_found=_rows(pending, statuses, None),
        without_task=without_task,
    )


def _match(row_ids: Collection[str] | None, known: set[str]) -> tuple[set[str] | None, list[str]]:
    """The known rows that are named, None for all; and the ids that name none. Raises InvalidInput if all name none."""
    if row_ids is None:
        return None, []
    matched, without_task = match_row_ids(list(row_ids), lambda ids: [row_id in known for row_id in ids])
    if not matched:
        reason = f"names no row that has a task, such as {abbreviate(without_task[0])}" if without_task else "is empty"
        raise InvalidInput("--rows", reason, "list row ids as they are in the manifest")
    return set(matched), sorted(without_task)


def cancel_tasks(context: ConnectedJob, task_ids: Sequence[str]) -> list[str | None]:
    """Cancel tasks. Returns the status of each afterwards; None if it does not exist on the server."""
    with ThreadPoolExecutor(context.job.submit.concurrency, thread_name_prefix="cancel") as threads:
        futures = [threads.submit(_cancel_one, context, task_id) for task_id in task_ids]
        try:
            return [future.result() for future in futures]
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


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
