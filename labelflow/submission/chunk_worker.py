"""Submit chunks in other processes than the one that runs the job.

The API refuses a second task with the same `unique_id`, so a work item may be executed twice: it is, if a worker dies
and another one repeats its work. Workers record the tasks that they create; the run reads them from the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from labelflow.accounting.progress import RunProgress
from labelflow.concurrency.lease_watch import RunLeaseCheck
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import InvalidInput, LabelflowError
from labelflow.jobs.connection import open_client
from labelflow.jobs.credentials.keys import read_key
from labelflow.jobs.credentials.secrets import use_s3_credentials
from labelflow.jobs.job import Job
from labelflow.ledger.context import ConnectedJob
from labelflow.ledger.ledger import Ledger
from labelflow.planning.chunk import Chunk
from labelflow.planning.plan import Plan
from labelflow.planning.requests.task_requests import TaskRequestBuilder
from labelflow.planning.row_validation import open_checker, validate_rows
from labelflow.planning.urls.url_lifetimes import UrlLifetimes
from labelflow.records import SubmissionReport
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.storage.opening import open_output
from labelflow.submission.reconciliation import UnrecordedTasks
from labelflow.submission.submitter import Submitter
from labelflow.submission.task_cap import TaskCap


def check_distributed_allowed(plan: Plan, supports_unique_id: bool) -> None:
    """Raises InvalidInput if other processes may not submit: a worker that dies leaves its rows to another one."""
    fix = "use runner: threads"
    if not supports_unique_id:
        url = plan.context.job.scale.url
        reason = f"{url} does not support unique_id, which prevents duplicate tasks when a worker dies"
        raise InvalidInput("runner", reason, fix)
    if plan.relabel is not None:
        raise InvalidInput("runner", "only one process may relabel rows", fix)


class WorkItem:
    """A chunk of rows that need tasks, and all that a worker needs to know. Opaque on purpose: see `Chunk`.

    lease: the name of the file that says that the run is still active.
    rate: tasks per second that the worker may create; None for no limit.
    tasks: how many tasks may be created for this chunk; None for no limit.
    """

    __slots__ = ("chunk", "job", "lease", "rate", "schema", "source_type", "tasks", "unrecorded")

    def __init__(
        self,
        job: Job,
        chunk: Chunk,
        *,
        schema: pa.Schema,
        source_type: pa.StructType,
        lease: str,
        rate: float | None,
        tasks: int | None,
        unrecorded: UnrecordedTasks,
    ) -> None:
        self.job = job
        self.chunk = chunk
        self.schema = schema
        self.source_type = source_type
        self.lease = lease
        self.rate = rate
        self.tasks = tasks
        self.unrecorded = unrecorded


class ChunkWorker:
    """Executes the work items of one run, in a process of its own. Several may be executed at once."""

    def __init__(self, item: WorkItem) -> None:
        job, stop = item.job, StopToken()
        use_s3_credentials(job.s3.credentials)
        folder = open_output(job.output)
        self._stop = stop
        self._watcher = RunLeaseCheck(folder, item.lease)
        self._rate_limiter = RateLimiter(item.rate, self._sleep)
        self._progress = RunProgress()
        self._unrecorded: UnrecordedTasks = {}
        self._builder = TaskRequestBuilder(job, item.schema, item.source_type)
        self._checker = open_checker(job)
        self._lifetimes = UrlLifetimes(job)
        client = open_client(job, read_key(job), self._sleep, self._rate_limiter)
        self._context = ConnectedJob(job, folder, Ledger(folder, item.source_type), stop, client)
        self._submitter = Submitter(
            self._context, self._progress, self._unrecorded, relabel_changed=False, check=self._watcher.check
        )

    def execute(self, item: WorkItem) -> SubmissionReport:
        """Check the rows and create their tasks. Created tasks are recorded even if this raises."""
        self._watcher.check()
        self._rate_limiter.set_rate(item.rate)
        self._unrecorded.update(item.unrecorded)
        prepared, rejected = validate_rows(self._builder, self._checker, item.chunk.rows)
        self._lifetimes.check(prepared)
        cap = TaskCap(item.tasks)
        report = self._submitter.submit(prepared, cap)
        return replace(
            report,
            rejected=[*rejected, *report.rejected],
            unused_tasks=cap.drain(),
            first_invalid_response=self._progress.first_invalid_response,
        )

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, or can no longer be reached."""
        try:
            self._watcher.check()
        except LabelflowError:
            return True
        return False

    def close(self) -> None:
        """End threads and connections."""
        self._submitter.close()
        self._checker.close()
        self._context.close()

    def _sleep(self, seconds: float) -> None:
        self._stop.sleep(seconds)
        self._watcher.check()


class _Workers:
    """The chunk workers of this process, one for each active run; those of runs that are over are closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[tuple[str, str], ChunkWorker] = {}
        self._executing: dict[tuple[str, str], int] = {}

    @contextmanager
    def borrow(self, item: WorkItem) -> Iterator[ChunkWorker]:
        """The worker of the item's run, opened if there is none."""
        run = item.job.output, item.lease
        with self._lock:
            self._close_finished(run)
            if run not in self._workers:
                self._workers[run] = ChunkWorker(item)
            self._executing[run] = self._executing.get(run, 0) + 1
        try:
            yield self._workers[run]
        finally:
            with self._lock:
                self._executing[run] -= 1

    def _close_finished(self, current: tuple[str, str]) -> None:
        idle = [run for run in self._workers if run != current and not self._executing[run]]
        for run in [run for run in idle if self._workers[run].is_over]:
            self._workers.pop(run).close()
            del self._executing[run]


_workers = _Workers()


def execute(item: WorkItem) -> SubmissionReport:
    """Execute a work item in this process, with the connections that earlier items of the same run have opened."""
    with _workers.borrow(item) as worker:
        return worker.execute(item)
