"""Submit chunks of rows in other processes than the one that runs the job: errands.

The server keeps second tasks out by their `unique_id`, so an errand may be carried out twice, as it is where a worker
dies and another one takes its work over. Workers record the tasks that they create; the run takes note of it later.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from labelflow.accounting.progress import RunProgress
from labelflow.attachments import AttachmentChecker
from labelflow.concurrency.lease_watch import LeaseWatcher
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import UsageError
from labelflow.jobs.api_keys import read_key
from labelflow.jobs.connection import open_client
from labelflow.jobs.job import Job
from labelflow.jobs.secrets import use_s3_credentials
from labelflow.ledger.parts import write_part
from labelflow.planning.chunk import Chunk
from labelflow.planning.plan import Plan
from labelflow.planning.row_check import validate_rows
from labelflow.planning.task_requests import TaskRequestBuilder
from labelflow.records import ChunkReport, Submission
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.storage.opening import open_output
from labelflow.submission.reconciliation import UnrecordedTasks
from labelflow.submission.submitter import Submitter
from labelflow.submission.task_budget import TaskBudget


def check_distributed_allowed(plan: Plan, supports_unique_id: bool) -> None:
    """Raises UsageError where no other process may submit: a worker that dies leaves its rows to another one."""
    fix = "use runner: threads"
    if not supports_unique_id:
        reason = f"{plan.job.scale.url} does not know unique_id, which keeps second tasks out where a worker dies"
        raise UsageError("runner", reason, fix)
    if plan.relabel is not None:
        raise UsageError("runner", "rows are relabeled by one process only", fix)


class WorkItem:
    """Rows that are to get tasks, and all that a process elsewhere needs to know. Opaque on purpose: see `Chunk`.

    lease: the name of the file that says that the run is still at work.
    rate: tasks a second that the worker may create; None for as many as it can.
    tasks: how many may be created of this chunk; None where nothing limits it.
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
    """A process that carries out the errands of one run. Several may be carried out at once."""

    def __init__(self, errand: WorkItem) -> None:
        job, self._stop = errand.job, StopToken()
        use_s3_credentials(job.s3.credentials)
        self._folder = open_output(job.output)
        self._source_type = errand.source_type
        self._lease_watcher = LeaseWatcher(self._folder, errand.lease)
        self._rate_limiter = RateLimiter(errand.rate, self._pause)
        self._progress = RunProgress()
        self._unrecorded: UnrecordedTasks = {}
        self._builder = TaskRequestBuilder(job, errand.schema, errand.source_type)
        self._checker = AttachmentChecker(job.attachments.check, threads=job.submit.concurrency)
        client = open_client(job, read_key(job), self._pause, self._rate_limiter)
        self._submitter = Submitter(
            job, client, self._record, self._stop, self._progress, self._unrecorded, False, self._lease_watcher.check
        )

    def execute(self, errand: WorkItem) -> ChunkReport:
        """Check the rows, and create their tasks. What was created is recorded even if this raises."""
        self._lease_watcher.check()
        self._rate_limiter.set_rate(errand.rate)
        self._unrecorded.update(errand.unrecorded)
        bound, rejected = validate_rows(self._builder, self._checker, errand.chunk.rows)
        allowance = TaskBudget(errand.tasks)
        report = self._submitter.submit(bound, allowance)
        return replace(
            report,
            rejected=[*rejected, *report.rejected],
            unused_budget=allowance.drain(),
            first_invalid_response=self._progress.first_invalid_response,
        )

    def _record(self, submissions: Sequence[Submission]) -> None:
        write_part(self._folder, self._source_type, submissions)

    def _pause(self, seconds: float) -> None:
        self._stop.sleep(seconds)
        self._lease_watcher.check()


_workers: dict[tuple[str, str], ChunkWorker] = {}
_workers_lock = threading.Lock()


def execute(errand: WorkItem) -> ChunkReport:
    """Carry out an errand in this process, with what earlier ones of the same run have opened."""
    with _workers_lock:
        run = errand.job.output, errand.lease
        if run not in _workers:
            _workers[run] = ChunkWorker(errand)
    return _workers[run].execute(errand)
