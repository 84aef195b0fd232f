"""Submit: create a task for each row of a chunk, once, and write down which row has which."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from itertools import accumulate
from typing import Any

from labelflow.accounting.progress import RunProgress
from labelflow.concurrency.daemon_threads import DaemonThreadPool, gather
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import StorageError
from labelflow.jobs.job import Job
from labelflow.planning.relabeling import at_generation, reject_changed
from labelflow.problems import Problem
from labelflow.records import ChunkReport, PreparedRow, RejectedRow, Submission
from labelflow.redaction import strip_signatures
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import Duplicate, InvalidRequest, InvalidResponse, NotFound
from labelflow.scale.models import Task
from labelflow.storage import s3, s3_client, s3_errors
from labelflow.submission.reconciliation import TaskReconciler, UnrecordedTasks, belongs_to_row
from labelflow.submission.task_budget import TaskBudget
from labelflow.tables.column_types import to_json_value

_HOLDER = re.compile(r"\(([0-9a-f]{24})\)")


class NotSubmitted(Enum):
    """Why a row was left without a task, and without a reason to reject it."""

    OVER_CAP = "the job's cap is reached"
    OUTCOME_UNKNOWN = "sent, and no answer says whether a task was made"


@dataclass(frozen=True, slots=True)
class Created:
    """A row's task; `recovered`: it existed already. `superseded`: earlier ones that were not recorded yet."""

    submission: Submission
    recovered: bool
    superseded: tuple[Submission, ...] = ()


Result = Created | RejectedRow | NotSubmitted


class Submitter:
    """Creates the tasks of checked rows. Several chunks of them may be submitted at once.

    A task is created once per row, whatever breaks: see docs/architecture.md, "Exactly once".

    record: writes tasks down; on return they are on lasting storage.
    unrecorded: tasks of runs that broke off, which are not in the ledger; see `find_unrecorded_tasks`.
    relabel_changed: whether a row that differs from what its task was made from gets a new one.
    check: asked before each row; raises where nothing more may be sent.
    """

    def __init__(
        self,
        job: Job,
        client: ScaleClient,
        record: Callable[[Sequence[Submission]], object],
        stop: StopToken,
        counts: RunProgress,
        unrecorded: UnrecordedTasks,
        relabel_changed: bool,
        check: Callable[[], None],
    ) -> None:
        self._job = job
        self._client = client
        self._record = record
        self._stop = stop
        self._progress = counts
        self._unrecorded = unrecorded
        self._relabel_changed = relabel_changed
        self._check = check
        self._reconciler = TaskReconciler(job, client, stop, check)
        self._failure: Exception | None = None
        self._has_unknown_outcomes = False
        self._threads = DaemonThreadPool(job.submit.concurrency, "submit")

    @property
    def all_recorded(self) -> bool:
        """Whether every task that there may be is in the ledger."""
        return not self._unrecorded and not self._has_unknown_outcomes and self._failure is None

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def submit(self, rows: Sequence[PreparedRow], budget: TaskBudget) -> ChunkReport:
        """Create the rows' tasks, and record them. What was created is recorded even if this raises.

        allowance: what may be created goes to the first of the rows, so that the same rows get it if they come again.
        """
        granted = self._allocate(rows, budget)
        left = deque((index, row, may) for index, (row, may) in enumerate(zip(rows, granted, strict=True)))
        results: list[Result | None] = [None] * len(rows)
        threads = min(len(rows), self._job.submit.concurrency)
        futures = [self._threads.submit(self._submit_rows, left, results, budget) for _ in range(threads)]
        failure = gather(futures, self._stop)
        created = [result for result in results if isinstance(result, Created)]
        self._record([submission for result in created for submission in (*result.superseded, result.submission)])
        if failure:
            raise failure
        adopted = sum(result.recovered for result in created)
        unmade = [(row, result) for row, result in zip(rows, results, strict=True) if isinstance(result, NotSubmitted)]
        return ChunkReport(
            created=len(created) - adopted,
            recovered=adopted,
            over_cap=[row.row_id for row, why in unmade if why is NotSubmitted.OVER_CAP and not row.generation],
            outcome_unknown=[
                row.row_id for row, why in unmade if why is NotSubmitted.OUTCOME_UNKNOWN and not row.generation
            ],
            relabel_deferred=sum(row.generation > 0 for row, _ in unmade),
            rejected=[result for result in results if isinstance(result, RejectedRow)],
        )

    def _allocate(self, rows: Sequence[PreparedRow], allowance: TaskBudget) -> list[bool]:
        """For which rows a task may be created; those that are known to have one need no grant."""
        needs = [(row.row_id, row.generation) not in self._unrecorded for row in rows]
        granted = allowance.take(sum(needs))
        counted = zip(needs, accumulate(needs), strict=True)
        return [granted is None or not need or count <= granted for need, count in counted]

    def _submit_rows(
        self, left: deque[tuple[int, PreparedRow, bool]], results: list[Result | None], allowance: TaskBudget
    ) -> None:
        """Submit rows for as long as some are left; several threads do at once."""
        while True:
            try:
                index, row, may = left.popleft()
            except IndexError:
                return
            results[index] = self._submit_row(row, may, allowance)

    def _submit_row(self, row: PreparedRow, may: bool, allowance: TaskBudget) -> Result:
        """What becomes of the row. The first failure ends all rows."""
        if self._failure:
            raise self._failure
        try:
            self._check()
            result = self._create(row, may, allowance)
        except Exception as error:
            self._failure = self._failure or error
            self._stop.set(error)
            raise
        if isinstance(result, Created):
            self._progress.add(submitted=1, **{"recovered" if result.recovered else "created": 1})
        return result

    def _create(self, row: PreparedRow, may: bool, allowance: TaskBudget) -> Result:
        unrecorded = self._unrecorded.get((row.row_id, row.generation))
        if unrecorded is not None:
            return self._recover(row, unrecorded, allowance)
        if not may:
            return NotSubmitted.OVER_CAP
        find = partial(self._reconciler.find, row, datetime.now(UTC))
        try:
            task = self._client.create_task(self._job.task_type, self._body(row), find)
        except Duplicate as error:
            return self._recover_existing(row, error, allowance)
        except InvalidRequest as error:
            allowance.give_back()
            return RejectedRow(
                row.row, row.row_id, Problem("task", f"the API refused it: {error.message}", "correct it")
            )
        except InvalidResponse as error:
            self._progress.first_invalid_response = self._progress.first_invalid_response or error.message
            self._has_unknown_outcomes = True
            return NotSubmitted.OUTCOME_UNKNOWN
        self._reconciler.supports_unique_id = task.unique_id == row.unique_id
        return Created(_submission(row, task), recovered=False)

    def _recover_existing(self, row: PreparedRow, error: Duplicate, allowance: TaskBudget) -> Result:
        """A task holds the row's unique_id: ours from before, unless it asks something else."""
        self._reconciler.supports_unique_id = True
        try:
            task = self._find_existing(row, error)
        except InvalidResponse as odd:
            self._progress.first_invalid_response = self._progress.first_invalid_response or odd.message
            task = None
        if task is None:
            self._has_unknown_outcomes = True
            return NotSubmitted.OUTCOME_UNKNOWN
        return self._recover(row, task, allowance)

    def _find_existing(self, row: PreparedRow, error: Duplicate) -> Task | None:
        named = _HOLDER.search(error.message)
        if named:
            try:
                return self._client.get_task(named[1])
            except NotFound:
                pass
        return self._reconciler.find_by_unique_id(row.unique_id)

    def _recover(self, row: PreparedRow, task: Task, allowance: TaskBudget) -> Result:
        is_ours = belongs_to_row(task, self._job.name, row.row_id)
        if is_ours and task.metadata.get("fingerprint") == row.fingerprint:
            self._unrecorded.pop((row.row_id, row.generation), None)
            return Created(_submission(row, task), recovered=True)
        if not is_ours or not self._relabel_changed:
            return reject_changed(row.row, row.row_id, task.task_id)
        may = allowance.take() != 0
        result = self._create(at_generation(row, self._job.name, row.generation + 1), may, allowance)
        if not isinstance(result, Created):
            return result
        self._unrecorded.pop((row.row_id, row.generation), None)
        asked = replace(row, fingerprint=str(task.metadata.get("fingerprint")))
        return replace(result, superseded=(_submission(asked, task), *result.superseded))

    def _body(self, row: PreparedRow) -> dict[str, Any]:
        seconds = int(self._job.attachments.presign.total_seconds())
        params = dict(row.params)
        if row.attachments and row.attachments[0].attachment_type != "text":
            if "attachment" in params:
                params["attachment"] = _signed(params["attachment"], seconds)
            if "attachments" in params:
                params["attachments"] = [_signed(value, seconds) for value in params["attachments"]]
        metadata = {
            **{name: to_json_value(row.source[name]) for name in self._job.metadata},
            "job": self._job.name,
            "row_id": row.row_id,
            "manifest": self._job.manifest.uri,
            "fingerprint": row.fingerprint,
            **({"generation": row.generation} if row.generation else {}),
        }
        return {**params, **row.common, "unique_id": row.unique_id, "metadata": metadata}


def _signed(value: Any, seconds: int) -> Any:
    if not isinstance(value, str) or not value.startswith("s3://"):
        return value
    try:
        return s3.presign(value, seconds)
    except s3_client.errors() as error:
        raise StorageError(s3_errors.s3_error(error, value)) from None


def _submission(row: PreparedRow, task: Task) -> Submission:
    return Submission(
        row_id=row.row_id,
        row=row.row.number,
        task_id=task.task_id,
        unique_id=task.unique_id,
        fingerprint=row.fingerprint,
        input_digest=row.input_digest,
        generation=row.generation,
        created_at=task.created_at,
        attachments=[strip_signatures(attachment.uri) for attachment in row.attachments],
        source=row.source,
    )
