"""A run of a job: a plan, carried out. The flow calls these steps in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from labelflow.accounting.manifest_totals import ManifestTotals
from labelflow.accounting.summary import Summary
from labelflow.accounting.tally import count_pending, summarize
from labelflow.collection.collector import Collector
from labelflow.collection.outage_tolerance import OutageTolerance
from labelflow.collection.polling import PollSchedule
from labelflow.concurrency.lease import RUNS, Lease
from labelflow.errors import StorageError, UsageError
from labelflow.jobs.api_keys import read_callback_key, read_key
from labelflow.jobs.connection import check_connection, open_client
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.outputs import rejects
from labelflow.planning.chunk import Chunk
from labelflow.planning.plan import Plan
from labelflow.planning.relabeling import Relabel
from labelflow.records import ChunkReport
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.submission import reconciliation
from labelflow.submission.reconciliation import UnrecordedTasks, find_unrecorded_tasks
from labelflow.submission.remote import WorkItem, check_distributed_allowed
from labelflow.submission.submitter import Submitter
from labelflow.submission.task_budget import TaskBudget

if TYPE_CHECKING:
    from labelflow.callbacks.server import CallbackServer


class LabelRun:
    """One run. Opening it reaches the API and makes the output folder this job's; no task is created yet.

    Raises UsageError where the API is not there, or does not take the key; Interrupted where another run of the
    job is at work that must not be at the same time.
    """

    def __init__(self, plan: Plan) -> None:
        job, stop = plan.job, plan.stop
        key = read_key(job)
        self._supports_unique_id = check_connection(job, key)
        if job.runner.is_distributed:
            check_distributed_allowed(plan, self._supports_unique_id)
        self.plan = plan
        self.progress = plan.progress
        self.summary_at_end: Summary | None = None  # how the job stands, once the run is through
        self._ledger = plan.ledger
        capped = job.submit.cap() is not None
        # A server that keeps a second task out by its unique_id lets runs work side by side; what only our own
        # books know (the cap, which rows are relabeled) does not.
        alone = not self._supports_unique_id or capped or plan.relabel is not None
        timeout = job.scale.timeout.total_seconds()
        spread = plan.stop if job.runner.is_distributed else None
        self._lease = Lease(plan.folder, RUNS, exclusive=alone, request_timeout=timeout, stop=spread)
        self._in_flight = 0  # errands of which no report has come
        self._has_unknown_outcomes = False
        self._removed_rows: list[str] = []
        self._removed_rows_state: tuple[int, int, int] | None = None
        self._client = open_client(job, key, self._pause, RateLimiter(job.submit.rate, self._pause))
        self._collector = Collector(job, self._client, plan.ledger, plan.folder, plan.builder.source_type, stop)
        self._schedule = PollSchedule(job.collect, stop, self._collector.has_callbacks, resumed=len(plan.ledger) > 0)
        self._outage_tolerance = OutageTolerance(job.collect.outage_tolerance, plan.progress)
        self._outcomes = self._collector.outcomes
        self._receiver: CallbackServer | None = None
        try:
            if plan.is_new:
                job_record.create(plan.folder, job, plan.builder.source_type)
            job_record.save_config(plan.folder, job)
            self._lease.acquire(stop.sleep)
        except StorageError as error:
            raise UsageError(f"output {job.output}", str(error), "correct the job's output") from None
        try:
            self._receiver = receive_callbacks(job)
            self._submitter = self._open()
        except BaseException:
            self._release()
            raise
        self.progress.add(labeled=self._outcomes.labeled, finished=len(self._outcomes))

    def _open(self) -> Submitter:
        """Look at what others have left, now that none of them is at work any more."""
        plan, left = self.plan, self._lease.abandoned
        plan.ledger.refresh()
        unrecorded: UnrecordedTasks = {}
        if left and (self._lease.is_exclusive or any(holder.exclusive for holder in left)):
            self._pause(reconciliation.LISTING_LAG)
            since = min(holder.since for holder in left)
            unrecorded = find_unrecorded_tasks(self._client, plan.job, plan.ledger, since, self._check)
        plan.unrecorded = {row_id for row_id, _ in unrecorded}
        if plan.relabel is Relabel.ERRORS:
            self.collect()
        allowed = plan.remaining_tasks()
        self._budget = TaskBudget(None if allowed is None else max(0, allowed - len(unrecorded)))
        self._unrecorded = unrecorded
        return Submitter(
            plan.job,
            self._client,
            plan.ledger.record,
            plan.stop,
            plan.progress,
            unrecorded,
            plan.relabel is Relabel.CHANGED,
            self._check,
        )

    def chunks(self) -> Iterator[Chunk]:
        """The rows that have no task yet; see `Plan.chunks`."""
        return self.plan.chunks()

    def submit(self, chunk: Chunk) -> ChunkReport:
        """Check the rows of a chunk and create their tasks. Chunks may be submitted at once.

        Raises LimitExceeded where more rows are rejected than the job allows: then no task is created.
        """
        bound, rejected = self.plan.check(chunk)
        self.plan.refuse_too_many_rejects()
        report = self._submitter.submit(bound, self._budget)
        self.plan.reject(report.rejected)
        self.plan.record_unsubmitted(report.over_cap, report.outcome_unknown)
        self.progress.add(submitted=report.relabel_deferred)
        return replace(report, rejected=[*rejected, *report.rejected])

    def make_work_item(self, chunk: Chunk, workers: int) -> WorkItem:
        """A chunk of rows for one of so many workers elsewhere. Raises LimitExceeded, as `submit` does."""
        self.plan.refuse_too_many_rejects()
        self._in_flight += 1
        rate, wanted = self.plan.job.submit.rate, {self.plan.builder.row_id(row)[0] for row in chunk.rows}
        return WorkItem(
            self.plan.job,
            chunk,
            schema=self.plan.manifest.schema,
            source_type=self.plan.builder.source_type,
            lease=self._lease.file,
            rate=rate and rate / workers,
            tasks=self._budget.take(len(chunk.rows)),
            unrecorded={key: task for key, task in self._unrecorded.items() if key[0] in wanted},
        )

    def record_result(self, errand: WorkItem, report: ChunkReport) -> None:
        """Take note of what became of an errand."""
        self._in_flight -= 1
        self._budget.give_back(report.unused_budget)
        if not report.outcome_unknown:
            for key in errand.unrecorded:
                self._unrecorded.pop(key, None)
        self._has_unknown_outcomes |= bool(report.outcome_unknown)
        self.progress.first_invalid_response = self.progress.first_invalid_response or report.first_invalid_response
        self.plan.reject(report.rejected)
        self.plan.record_unsubmitted(report.over_cap, report.outcome_unknown)
        made = report.created + report.recovered
        self.progress.add(
            checked=len(errand.chunk.rows), submitted=made, created=report.created, recovered=report.recovered
        )

    @property
    def _is_settled(self) -> bool:
        """Whether every task that there may be is in the ledger."""
        return self._submitter.all_recorded and not self._in_flight and not self._has_unknown_outcomes

    def finish_submission(self) -> None:
        """Publish the rejects of this run. Every task is recorded now, or the next run looks for it."""
        self._ledger.refresh()
        self.plan.discard_submitted()
        if not (
            self.progress.not_submitted and rejects.is_own_rejects_file(self.plan.folder, self.plan.job.manifest.uri)
        ):
            rejects.write_rejects(self.plan.folder, self.plan.rejected, self.plan.manifest.schema)
        if self.plan.is_scanned:
            self._totals().write(self.plan.folder)
        if self._is_settled:
            self._lease.clear_abandoned()
        self._lease.release(keep_record=not self._is_settled)

    def collect(self) -> int:
        """One look at what has come back. Returns the number of tasks that are new."""
        answered, labeled = len(self._outcomes), self._outcomes.labeled
        try:
            return self._collector.collect(poll=self._schedule.should_poll_api())
        finally:
            new = len(self._outcomes) - answered
            self.progress.add(finished=new, labeled=self._outcomes.labeled - labeled)

    def wait_and_collect(self) -> int:
        """A look while people are waited for: where the API does not answer, as long as the job bears that, none."""
        with self._outage_tolerance.attempt():
            return self.collect()
        return 0

    @property
    def pending(self) -> int:
        """Tasks that have not come back yet."""
        return count_pending(self._ledger, self._outcomes)

    def intervals(self) -> Iterator[float]:
        """Pause between looks until the job's patience is over; see `PollSchedule.intervals`."""
        return self._schedule.intervals()

    def finish(self) -> Summary:
        """Write the summary; once nothing is waited for, make the files large. Raises CountMismatch."""
        if not self.pending:
            self._collector.compact()
        summary = self.summary()
        summary.write(self.plan.folder)
        summary.check()
        self.summary_at_end = summary
        return summary

    def summary(self) -> Summary:
        """How the job stands, counted from what was read, submitted and collected in this run and before."""
        counts = self.progress
        return replace(
            summarize(self.plan.job, self._totals(), self._ledger, self._outcomes),
            unparsed=self._collector.unparsed,
            unmatched_callbacks=self._collector.unmatched_callbacks,
            created=counts.created,
            recovered=counts.recovered,
            seconds=dict(counts.seconds),
        )

    def _totals(self) -> ManifestTotals:
        self.plan.discard_submitted()
        return ManifestTotals.of(self.plan, self._find_removed_rows())

    def _find_removed_rows(self) -> list[str]:
        """The rows that have a task and are not in the manifest; it takes a while to find them among a million."""
        state = self.progress.read, len(self._ledger), self._ledger.tasks
        if self._removed_rows_state != state:
            lacking = [self.plan.missing_rows(row_ids) for row_ids, _ in self._ledger.rows()]
            self._removed_rows, self._removed_rows_state = [row_id for some in lacking for row_id in some], state
        return self._removed_rows

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for and recorded by its own step."""
        self.plan.stop.set()

    def close(self) -> None:
        """End threads and connections, and leave the folder; where tasks may be unrecorded, with a mark."""
        self._submitter.close()
        self._release()

    def _release(self) -> None:
        if self._receiver:
            self._receiver.stop()
        self.plan.close()
        self._client.close()
        with suppress(StorageError):  # then the next run waits until the lease has run out
            self._lease.release(keep_record=True)

    def _check(self) -> None:
        """Raises where nothing more may be sent."""
        self.plan.stop.check()
        self._lease.check()

    def _pause(self, seconds: float) -> None:
        self.plan.stop.sleep(seconds)
        self._lease.check()


def receive_callbacks(job: Job) -> CallbackServer | None:
    """A receiver for this run, where the job waits for callbacks. Raises UsageError where it cannot listen."""
    collect = job.collect
    if collect.wait != "callback":
        return None
    from labelflow.callbacks.receiver import CallbackReceiver
    from labelflow.callbacks.server import CallbackServer  # a web server, which takes its time to import

    server = CallbackServer(CallbackReceiver([job]), read_callback_key(job), collect.host, collect.port)
    server.start()
    return server
