"""Submit chunks of rows in other processes than the one that runs the job: errands.

The server keeps second tasks out by their `unique_id`, so an errand may be carried out twice, as it is where a worker
dies and another one takes its work over. Workers record the tasks that they create; the run takes note of it later.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from labelflow.accounting.progress import Counts
from labelflow.attachments import AttachmentChecker
from labelflow.concurrency.lease import Tenant
from labelflow.concurrency.stop_token import Stop
from labelflow.errors import Unusable
from labelflow.jobs.config import read_key
from labelflow.jobs.connection import open_client
from labelflow.jobs.job import Job
from labelflow.jobs.secrets import use_s3_credentials
from labelflow.ledger.parts import write_submissions
from labelflow.planning.plan import Chunk, Plan
from labelflow.planning.row_check import check_rows
from labelflow.planning.task_requests import Binder
from labelflow.records import ChunkReport, Submission
from labelflow.scale.rate_limiter import Pace
from labelflow.storage.folder import open_output
from labelflow.submission.reconciliation import Unrecorded
from labelflow.submission.submitter import Allowance, Submitter


def refuse_elsewhere(plan: Plan, knows_ids: bool) -> None:
    """Raises Unusable where no other process may submit: a worker that dies leaves its rows to another one."""
    fix = "use runner: threads"
    if not knows_ids:
        reason = f"{plan.job.scale.url} does not know unique_id, which keeps second tasks out where a worker dies"
        raise Unusable("runner", reason, fix)
    if plan.relabel is not None:
        raise Unusable("runner", "rows are relabeled by one process only", fix)


class Errand:
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
        unrecorded: Unrecorded,
    ) -> None:
        self.job = job
        self.chunk = chunk
        self.schema = schema
        self.source_type = source_type
        self.lease = lease
        self.rate = rate
        self.tasks = tasks
        self.unrecorded = unrecorded


class Branch:
    """A process that carries out the errands of one run. Several may be carried out at once."""

    def __init__(self, errand: Errand) -> None:
        job, self._stop = errand.job, Stop()
        use_s3_credentials(job.s3.credentials)
        self._folder = open_output(job.output)
        self._source_type = errand.source_type
        self._tenant = Tenant(self._folder, errand.lease)
        self._pace = Pace(errand.rate, self._pause)
        self._counts = Counts()
        self._unrecorded: Unrecorded = {}
        self._binder = Binder(job, errand.schema, errand.source_type)
        self._checker = AttachmentChecker(job.attachments.check, threads=job.submit.concurrency)
        client = open_client(job, read_key(job), self._pause, self._pace)
        self._submitter = Submitter(
            job, client, self._record, self._stop, self._counts, self._unrecorded, False, self._tenant.check
        )

    def carry_out(self, errand: Errand) -> ChunkReport:
        """Check the rows, and create their tasks. What was created is recorded even if this raises."""
        self._tenant.check()
        self._pace.limit(errand.rate)
        self._unrecorded.update(errand.unrecorded)
        bound, rejected = check_rows(self._binder, self._checker, errand.chunk.rows)
        allowance = Allowance(errand.tasks)
        report = self._submitter.submit(bound, allowance)
        return replace(
            report,
            rejected=[*rejected, *report.rejected],
            unspent=allowance.drain(),
            not_understood=self._counts.not_understood,
        )

    def _record(self, submissions: Sequence[Submission]) -> None:
        write_submissions(self._folder, self._source_type, submissions)

    def _pause(self, seconds: float) -> None:
        self._stop.pause(seconds)
        self._tenant.check()


_branches: dict[tuple[str, str], Branch] = {}
_opening = threading.Lock()


def carry_out(errand: Errand) -> ChunkReport:
    """Carry out an errand in this process, with what earlier ones of the same run have opened."""
    with _opening:
        run = errand.job.output, errand.lease
        if run not in _branches:
            _branches[run] = Branch(errand)
    return _branches[run].carry_out(errand)
