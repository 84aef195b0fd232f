"""Submit: create a task for each row of a chunk, once, and write down which row has which."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from labeling import s3
from labeling.binding import plain
from labeling.counts import Counts
from labeling.errors import StoreTrouble
from labeling.job import Job
from labeling.ledger import Ledger
from labeling.stages import BoundRow, ChunkReport, Rejected, Submission
from labeling.stopping import Stop
from scale.client import ScaleClient
from scale.contract import Task, format_time
from scale.errors import Duplicate, InvalidRequest, NotFound, UnexpectedAnswer
from scale.problems import Problem

CLOCK_SKEW = timedelta(minutes=10)  # how far the server's clock may be from ours
_HOLDER = re.compile(r"\(([0-9a-f]{24})\)")


class Allowance:
    """How many tasks may still be created under the job's cap; shared by threads."""

    def __init__(self, tasks: int | None) -> None:
        self._left = tasks
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """So many of the wanted tasks may be created."""
        with self._lock:
            if self._left is None:
                return wanted
            granted = min(wanted, self._left)
            self._left -= granted
            return granted

    def give_back(self, unused: int) -> None:
        """Tasks that were granted and not created."""
        with self._lock:
            if self._left is not None:
                self._left += unused


@dataclass(frozen=True, slots=True)
class Created:
    """A row's task; `adopted` where it was there already."""

    submission: Submission
    adopted: bool


class Submitter:
    """Creates the tasks of checked rows. Several chunks of them may be submitted at once.

    A task is created once per row, whatever breaks: see docs/architecture.md, "Exactly once".
    """

    def __init__(
        self,
        job: Job,
        client: ScaleClient,
        ledger: Ledger,
        allowance: Allowance,
        stop: Stop,
        counts: Counts,
        unrecorded: dict[str, Task],
    ) -> None:
        self._job = job
        self._client = client
        self._ledger = ledger
        self._allowance = allowance
        self._stop = stop
        self._counts = counts
        self._unrecorded = unrecorded
        self._server_knows_ids: bool | None = None  # whether it takes `unique_id`: told by its first answer
        self._failure: Exception | None = None
        self._threads = ThreadPoolExecutor(job.submit.concurrency, thread_name_prefix="submit")

    @property
    def settled(self) -> bool:
        """Whether every task found unrecorded has met its row."""
        return not self._unrecorded

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def submit(self, rows: Sequence[BoundRow]) -> ChunkReport:
        """Create the rows' tasks, and record them. What was created is recorded even if this raises."""
        granted = self._allowance.take(len(rows))
        futures = [self._threads.submit(self._submit_row, row) for row in rows[:granted]]
        results, failure = _gather(futures)
        created = [result for result in results if isinstance(result, Created)]
        self._ledger.record([result.submission for result in created])
        refused = [result for result in results if isinstance(result, Rejected)]
        self._allowance.give_back(len(refused))
        if failure:
            raise failure
        adopted = sum(result.adopted for result in created)
        return ChunkReport(
            created=len(created) - adopted,
            adopted=adopted,
            held_back=len(rows) - granted,
            unsettled=granted - len(created) - len(refused),
            rejected=refused,
        )

    def _submit_row(self, row: BoundRow) -> Created | Rejected | None:
        """The row's task; None where no answer says whether there is one. The first failure ends all rows."""
        self._stop.check()
        if self._failure:
            raise self._failure
        try:
            result = self._create(row)
        except Exception as error:
            self._failure = self._failure or error
            raise
        if isinstance(result, Created):
            self._counts.add(submitted=1, **{"adopted" if result.adopted else "created": 1})
        return result

    def _create(self, row: BoundRow) -> Created | Rejected | None:
        task = self._unrecorded.pop(row.row_id, None)
        if task is not None:
            return self._adopt(row, task)
        since = datetime.now(UTC) - CLOCK_SKEW
        try:
            task = self._client.create_task(self._job.task_type, self._body(row), lambda: self._look_up(row, since))
        except Duplicate as error:
            return self._take_over(row, error)
        except InvalidRequest as error:
            return Rejected(row.row, row.row_id, Problem("task", f"the API refused it: {error.message}", "correct it"))
        except UnexpectedAnswer as error:
            self._counts.not_understood = self._counts.not_understood or error.message
            return None
        self._server_knows_ids = task.unique_id == row.unique_id
        return Created(_submission(row, task), adopted=False)

    def _look_up(self, row: BoundRow, since: datetime) -> Task | None:
        """The row's task, where an answer was lost and the server does not keep a second one out itself."""
        if self._server_knows_ids:
            return None
        listed = self._client.list_tasks(type=self._job.task_type, start_time=format_time(since))
        return next((task for task in listed if is_for(task, self._job.name, row.row_id)), None)

    def _take_over(self, row: BoundRow, error: Duplicate) -> Created | Rejected | None:
        """A task holds the row's unique_id: ours from before, unless it asks something else."""
        self._server_knows_ids = True
        task = self._holder(row, error)
        return self._adopt(row, task) if task else None

    def _holder(self, row: BoundRow, error: Duplicate) -> Task | None:
        named = _HOLDER.search(error.message)
        if named:
            try:
                return self._client.get_task(named[1])
            except NotFound:
                pass
        return next(iter(self._client.find_by_unique_id([row.unique_id])), None)

    def _adopt(self, row: BoundRow, task: Task) -> Created | Rejected:
        if is_for(task, self._job.name, row.row_id) and task.metadata.get("fingerprint") == row.fingerprint:
            return Created(_submission(row, task), adopted=True)
        reason = f"has changed since its task {task.task_id} was made"
        return Rejected(row.row, row.row_id, Problem("task", reason, "restore the row, or give it a new row id"))

    def _body(self, row: BoundRow) -> dict[str, Any]:
        seconds = int(self._job.attachments.presign.total_seconds())
        params = dict(row.params)
        if row.attachments and row.attachments[0].attachment_type != "text":
            if "attachment" in params:
                params["attachment"] = _signed(params["attachment"], seconds)
            if "attachments" in params:
                params["attachments"] = [_signed(value, seconds) for value in params["attachments"]]
        metadata = {
            **{name: plain(row.source[name]) for name in self._job.metadata},
            "job": self._job.name,
            "row_id": row.row_id,
            "manifest": self._job.manifest.uri,
            "fingerprint": row.fingerprint,
        }
        return {**params, **row.common, "unique_id": row.unique_id, "metadata": metadata}


def is_for(task: Task, job: str, row_id: str) -> bool:
    """Whether a task was made for a job's row: its metadata says so."""
    return task.metadata.get("job") == job and task.metadata.get("row_id") == row_id


def unrecorded_tasks(client: ScaleClient, job: Job, ledger: Ledger) -> dict[str, Task]:
    """The tasks, by row_id, that an earlier run created and may not have written down.

    A server that knows `unique_id` needs no such look: it refuses the second task, which settles the first.
    """
    since = ledger.open_since()
    found: dict[str, Task] = {}
    if since is None:
        return found
    for task in client.list_tasks(type=job.task_type, start_time=format_time(since - CLOCK_SKEW)):
        if task.unique_id is not None:
            return {}
        row_id = task.metadata.get("row_id")
        if isinstance(row_id, str) and is_for(task, job.name, row_id) and row_id not in ledger:
            found[row_id] = task
    return found


def _signed(value: Any, seconds: int) -> Any:
    if not isinstance(value, str) or not value.startswith("s3://"):
        return value
    try:
        return s3.presign(value, seconds)
    except s3.errors() as error:
        raise StoreTrouble(s3.s3_error(error, value)) from None


def _submission(row: BoundRow, task: Task) -> Submission:
    return Submission(
        row_id=row.row_id,
        row=row.row.number,
        task_id=task.task_id,
        unique_id=task.unique_id,
        fingerprint=row.fingerprint,
        created_at=task.created_at,
        attachments=[attachment.uri for attachment in row.attachments],
        source=row.source,
    )


def _gather(
    futures: list[Future[Created | Rejected | None]],
) -> tuple[list[Created | Rejected | None], BaseException | None]:
    """The results of all rows that got one, and the first failure."""
    wait(futures)
    failures = [error for future in futures if (error := future.exception())]
    return [future.result() for future in futures if not future.exception()], next(iter(failures), None)
