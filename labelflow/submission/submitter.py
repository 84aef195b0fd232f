"""Submit: create one task for each row of a chunk, exactly once, and record which row has which task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from itertools import accumulate

from labelflow.accounting.progress import RunProgress
from labelflow.concurrency.daemon_threads import DaemonThreadPool, gather
from labelflow.errors import NotRecorded
from labelflow.ledger.context import ConnectedJob
from labelflow.planning.relabel.relabeling import at_generation, reject_changed
from labelflow.problems import Problem, abbreviate
from labelflow.records import PreparedRow, RejectedRow, Submission, SubmissionReport
from labelflow.redaction import strip_signatures
from labelflow.scale.errors import Duplicate, InvalidRequest, InvalidResponse, ScaleError
from labelflow.scale.models import Task
from labelflow.submission.payload import check_created, task_body
from labelflow.submission.reconciliation import TaskReconciler, UnrecordedTasks, belongs_to_row
from labelflow.submission.task_cap import TaskCap


class NotSubmitted(Enum):
    """Why a valid row has no task."""

    OVER_CAP = "the job's cap is reached"
    OUTCOME_UNKNOWN = "sent, and no response says whether a task was created"


@dataclass(frozen=True, slots=True)
class Created:
    """A row's task. recovered: it existed already. superseded: earlier tasks of the row that were not recorded yet."""

    submission: Submission
    recovered: bool
    superseded: tuple[Submission, ...] = ()


Result = Created | RejectedRow | NotSubmitted


class Submitter:
    """Creates the tasks of checked rows. Several chunks may be submitted at once.

    A row gets one task, whatever breaks: see docs/architecture.md, "Exactly once".

    unrecorded: tasks of runs that died, which are not in the ledger; see `find_unrecorded_tasks`.
    relabel_changed: whether a row that differs from what its task was created from gets a new task.
    check: called before each row; raises if nothing more may be sent.
    """

    def __init__(
        self,
        context: ConnectedJob,
        progress: RunProgress,
        unrecorded: UnrecordedTasks,
        *,
        relabel_changed: bool,
        check: Callable[[], None],
    ) -> None:
        self._context = context
        self._job = context.job
        self._progress = progress
        self._unrecorded = unrecorded
        self._relabel_changed = relabel_changed
        self._check = check
        self._reconciler = TaskReconciler(context, check)
        self._failure: Exception | None = None
        self._has_unknown_outcomes = False
        self._threads = DaemonThreadPool(self._job.submit.concurrency, "submit")

    @property
    def all_recorded(self) -> bool:
        """Whether every task that may exist is in the ledger."""
        return not self._unrecorded and not self._has_unknown_outcomes and self._failure is None

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def submit(self, rows: Sequence[PreparedRow], cap: TaskCap) -> SubmissionReport:
        """Create the rows' tasks and record them. Created tasks are recorded even if this raises.

        The cap goes to the first rows, so that the same rows get it if the chunk is submitted again.
        """
        allowed = self._allocate(rows, cap)
        queue = deque((index, row, may) for index, (row, may) in enumerate(zip(rows, allowed, strict=True)))
        results: list[Result | None] = [None] * len(rows)
        threads = min(len(rows), self._job.submit.concurrency)
        futures = [self._threads.submit(self._submit_rows, queue, results, cap) for _ in range(threads)]
        failure = gather(futures, self._context.stop)
        self._record([result for result in results if isinstance(result, Created)])
        if failure:
            raise failure
        return _report(rows, results)

    def _record(self, created: Sequence[Created]) -> None:
        """Record tasks. If that fails, no further task is created, and the next run finds those of this chunk."""
        submissions = [submission for result in created for submission in (*result.superseded, result.submission)]
        try:
            self._context.ledger.record(submissions)
        except Exception as error:
            failure = NotRecorded(self._context.folder.uri, len(submissions), error)
            self._failure = self._failure or failure
            self._context.stop.set(failure)
            raise failure from error

    def _allocate(self, rows: Sequence[PreparedRow], cap: TaskCap) -> list[bool]:
        """For which rows a task may be created. Rows with an unrecorded task need no cap."""
        needs = [(row.row_id, row.generation) not in self._unrecorded for row in rows]
        granted = cap.take(sum(needs))
        counted = zip(needs, accumulate(needs), strict=True)
        return [granted is None or not need or count <= granted for need, count in counted]

    def _submit_rows(
        self, queue: deque[tuple[int, PreparedRow, bool]], results: list[Result | None], cap: TaskCap
    ) -> None:
        """Submit rows until the queue is empty; runs in several threads."""
        while True:
            try:
                index, row, allowed = queue.popleft()
            except IndexError:
                return
            results[index] = self._submit_row(row, allowed, cap)

    def _submit_row(self, row: PreparedRow, allowed: bool, cap: TaskCap) -> Result:
        """The result for one row. The first failure ends the submission of all rows."""
        if self._failure:
            raise self._failure
        try:
            self._check()
            result = self._create(row, allowed, cap)
        except Exception as error:
            self._failure = self._failure or error
            self._context.stop.set(error)
            raise
        if isinstance(result, Created):
            self._progress.add(submitted=1, **{"recovered" if result.recovered else "created": 1})
        return result

    def _create(self, row: PreparedRow, allowed: bool, cap: TaskCap) -> Result:
        unrecorded = self._unrecorded.get((row.row_id, row.generation))
        if unrecorded is not None:
            return self._recover(row, unrecorded, cap)
        if not allowed:
            return NotSubmitted.OVER_CAP
        body = task_body(self._job, row)
        find = partial(self._reconciler.find, row, self._context.client.earliest_now())
        try:
            task = self._context.client.create_task(self._job.task_type, body, find)
            check_created(task, body)
        except Duplicate as error:
            return self._recover_existing(row, error, cap)
        except InvalidRequest as error:
            return self._handle_refusal(row, error, cap)
        except InvalidResponse as error:
            return self._outcome_unknown(error)
        self._reconciler.supports_unique_id = task.unique_id == row.unique_id
        return Created(_submission(row, task), recovered=False)

    def _recover_existing(self, row: PreparedRow, conflict: Duplicate, cap: TaskCap) -> Result:
        """A task holds the row's unique_id: the row's own from before, unless it asks something else.

        The 409 names the task, but its message also quotes the row's id, which may contain anything. The place under
        the cap stays used: the task may be one of this job that the API does not show.
        """
        self._reconciler.supports_unique_id = True
        try:
            task = self._reconciler.find_by_unique_id(row.unique_id)
        except (InvalidRequest, InvalidResponse) as error:
            return self._outcome_unknown(error)
        if task is not None:
            return self._recover(row, task, cap)
        return self._outcome_unknown(conflict) if conflict.outcome_unknown else _reject_hidden(row)

    def _handle_refusal(self, row: PreparedRow, refusal: InvalidRequest, cap: TaskCap) -> Result:
        """Reject a row, unless an earlier attempt has created its task, in this run or in one that did not record it.

        Such an attempt keeps its place under the cap until the next run knows what became of it.
        """
        try:
            task = self._reconciler.find_by_unique_id(row.unique_id, wait=refusal.outcome_unknown)
        except (InvalidRequest, InvalidResponse) as error:
            return self._outcome_unknown(error)
        if task is not None:
            return self._recover(row, task, cap)
        if refusal.outcome_unknown:
            return self._outcome_unknown(refusal)
        cap.give_back()
        problem = Problem("task", f"the API refused it: {refusal.message}", "fix it")
        return RejectedRow(row.row, row.row_id, problem)

    def _outcome_unknown(self, error: ScaleError | None = None) -> NotSubmitted:
        """The next run finds out; the lease record says that there is something to find."""
        if error:
            self._progress.first_invalid_response = self._progress.first_invalid_response or error.message
        self._has_unknown_outcomes = True
        return NotSubmitted.OUTCOME_UNKNOWN

    def _recover(self, row: PreparedRow, task: Task, cap: TaskCap) -> Result:
        """Record an existing task for the row, after comparing what it asks with what the row asks."""
        is_own = belongs_to_row(task, self._job.name, row.row_id)
        if is_own and task.metadata.get("fingerprint") == row.fingerprint:
            self._unrecorded.pop((row.row_id, row.generation), None)
            return Created(_submission(row, task), recovered=True)
        if not is_own:
            return _reject_foreign(row, task)
        if not self._relabel_changed:
            return reject_changed(row.row, row.row_id, task.task_id)
        allowed = cap.take() != 0
        result = self._create(at_generation(row, self._job.name, row.generation + 1), allowed, cap)
        if not isinstance(result, Created):
            return result
        self._unrecorded.pop((row.row_id, row.generation), None)
        former = replace(row, fingerprint=str(task.metadata.get("fingerprint")))
        return replace(result, superseded=(_submission(former, task), *result.superseded))


def _report(rows: Sequence[PreparedRow], results: Sequence[Result | None]) -> SubmissionReport:
    created = [result for result in results if isinstance(result, Created)]
    recovered = sum(result.recovered for result in created)
    waiting = [(row, result) for row, result in zip(rows, results, strict=True) if isinstance(result, NotSubmitted)]
    first = [(row.row_id, reason) for row, reason in waiting if not row.generation]
    return SubmissionReport(
        created=len(created) - recovered,
        recovered=recovered,
        over_cap=[row_id for row_id, reason in first if reason is NotSubmitted.OVER_CAP],
        outcome_unknown=[row_id for row_id, reason in first if reason is NotSubmitted.OUTCOME_UNKNOWN],
        relabel_deferred=len(waiting) - len(first),
        rejected=[result for result in results if isinstance(result, RejectedRow)],
    )


def _reject_hidden(row: PreparedRow) -> RejectedRow:
    reason = f"the API reports a task with the unique_id {abbreviate(row.unique_id)}, but lists none"
    fix = "run again later; if it stays so, have Scale free this unique_id, or give the row another id"
    return RejectedRow(row.row, row.row_id, Problem("task", reason, fix))


def _reject_foreign(row: PreparedRow, task: Task) -> RejectedRow:
    owner = f"row {abbreviate(task.metadata.get('row_id'))} of job {abbreviate(task.metadata.get('job'))}"
    reason = f"its unique_id {abbreviate(row.unique_id)} belongs to task {task.task_id} of {owner}"
    fix = "give the job a name that no other job of the account has, or the row another id"
    return RejectedRow(row.row, row.row_id, Problem("task", reason, fix))


def _submission(row: PreparedRow, task: Task) -> Submission:
    return Submission(
        row_id=row.row_id,
        row=row.row.original_number,
        task_id=task.task_id,
        unique_id=task.unique_id,
        fingerprint=row.fingerprint,
        input_digest=row.input_digest,
        generation=row.generation,
        created_at=task.created_at,
        attachments=[strip_signatures(attachment.uri) for attachment in row.attachments],
        media=row.media,
        source=row.source,
    )
