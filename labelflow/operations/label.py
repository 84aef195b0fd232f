"""A run of a job: a plan, carried out. The flow calls these steps in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from labelflow.accounting.manifest_totals import ManifestAccounts, summarize, waiting
from labelflow.accounting.summary import Summary
from labelflow.collection.collector import Collector
from labelflow.collection.outage_tolerance import Patience
from labelflow.collection.polling import Watch
from labelflow.concurrency.lease import RUNS, Lease
from labelflow.errors import StoreTrouble, Unusable
from labelflow.jobs.config import read_callback_key, read_key
from labelflow.jobs.connection import greet, open_client
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.outputs import rejects
from labelflow.planning.plan import Chunk, Plan
from labelflow.planning.relabeling import Relabel
from labelflow.records import ChunkReport
from labelflow.scale.rate_limiter import Pace
from labelflow.submission import reconciliation
from labelflow.submission.reconciliation import Unrecorded, unrecorded_tasks
from labelflow.submission.remote import Errand, refuse_elsewhere
from labelflow.submission.submitter import Allowance, Submitter

if TYPE_CHECKING:
    from labelflow.callbacks.server import CallbackServer


class Run:
    """One run. Opening it reaches the API and makes the output folder this job's; no task is created yet.

    Raises Unusable where the API is not there, or does not take the key; Interrupted where another run of the
    job is at work that must not be at the same time.
    """

    def __init__(self, plan: Plan) -> None:
        job, stop = plan.job, plan.stop
        key = read_key(job)
        self._knows_ids = greet(job, key)
        if job.runner.is_elsewhere:
            refuse_elsewhere(plan, self._knows_ids)
        self.plan = plan
        self.counts = plan.counts
        self.finished: Summary | None = None  # how the job stands, once the run is through
        self._ledger = plan.ledger
        capped = job.submit.cap() is not None
        # A server that keeps a second task out by its unique_id lets runs work side by side; what only our own
        # books know (the cap, which rows are relabeled) does not.
        alone = not self._knows_ids or capped or plan.relabel is not None
        timeout = job.scale.timeout.total_seconds()
        spread = plan.stop if job.runner.is_elsewhere else None
        self._lease = Lease(plan.folder, RUNS, exclusive=alone, longest_answer=timeout, stop=spread)
        self._away = 0  # errands of which no report has come
        self._unsettled = False
        self._gone_rows: list[str] = []
        self._gone_at: tuple[int, int, int] | None = None
        self._client = open_client(job, key, self._pause, Pace(job.submit.rate, self._pause))
        self._collector = Collector(job, self._client, plan.ledger, plan.folder, plan.binder.source_type, stop)
        self._watch = Watch(job.completion, stop, self._collector.has_callbacks, resumed=len(plan.ledger) > 0)
        self._patience = Patience(job.completion.outage, plan.counts)
        self._outcomes = self._collector.outcomes
        self._receiver: CallbackServer | None = None
        try:
            if plan.is_new:
                job_record.begin(plan.folder, job, plan.binder.source_type)
            job_record.keep_config(plan.folder, job)
            self._lease.take(stop.pause)
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None
        try:
            self._receiver = receive_callbacks(job)
            self._submitter = self._open()
        except BaseException:
            self._leave()
            raise
        self.counts.add(labeled=self._outcomes.labeled, answered=len(self._outcomes))

    def _open(self) -> Submitter:
        """Look at what others have left, now that none of them is at work any more."""
        plan, left = self.plan, self._lease.left_behind
        plan.ledger.refresh()
        unrecorded: Unrecorded = {}
        if left and (self._lease.is_exclusive or any(holder.exclusive for holder in left)):
            self._pause(reconciliation.LAG_SECONDS)
            since = min(holder.since for holder in left)
            unrecorded = unrecorded_tasks(self._client, plan.job, plan.ledger, since, self._check)
        plan.unrecorded = {row_id for row_id, _ in unrecorded}
        if plan.relabel is Relabel.ERRORS:
            self.collect()
        allowed = plan.allowance()
        self._allowance = Allowance(None if allowed is None else max(0, allowed - len(unrecorded)))
        self._unrecorded = unrecorded
        return Submitter(
            plan.job,
            self._client,
            plan.ledger.record,
            plan.stop,
            plan.counts,
            unrecorded,
            plan.relabel is Relabel.CHANGED,
            self._check,
        )

    def chunks(self) -> Iterator[Chunk]:
        """The rows that have no task yet; see `Plan.chunks`."""
        return self.plan.chunks()

    def submit(self, chunk: Chunk) -> ChunkReport:
        """Check the rows of a chunk and create their tasks. Chunks may be submitted at once.

        Raises LimitReached where more rows are rejected than the job allows: then no task is created.
        """
        bound, rejected = self.plan.check(chunk)
        self.plan.refuse_too_many_rejects()
        report = self._submitter.submit(bound, self._allowance)
        self.plan.turn_down(report.rejected)
        self.plan.leave(report.held_back, report.unsettled)
        self.counts.add(submitted=report.not_asked_anew)
        return replace(report, rejected=[*rejected, *report.rejected])

    def errand(self, chunk: Chunk, workers: int) -> Errand:
        """A chunk of rows for one of so many workers elsewhere. Raises LimitReached, as `submit` does."""
        self.plan.refuse_too_many_rejects()
        self._away += 1
        rate, wanted = self.plan.job.submit.rate, {self.plan.binder.row_id(row)[0] for row in chunk.rows}
        return Errand(
            self.plan.job,
            chunk,
            schema=self.plan.manifest.schema,
            source_type=self.plan.binder.source_type,
            lease=self._lease.file,
            rate=rate and rate / workers,
            tasks=self._allowance.take(len(chunk.rows)),
            unrecorded={key: task for key, task in self._unrecorded.items() if key[0] in wanted},
        )

    def take_over(self, errand: Errand, report: ChunkReport) -> None:
        """Take note of what became of an errand."""
        self._away -= 1
        self._allowance.give_back(report.unspent)
        if not report.unsettled:
            for key in errand.unrecorded:
                self._unrecorded.pop(key, None)
        self._unsettled |= bool(report.unsettled)
        self.counts.not_understood = self.counts.not_understood or report.not_understood
        self.plan.turn_down(report.rejected)
        self.plan.leave(report.held_back, report.unsettled)
        made = report.created + report.adopted
        self.counts.add(checked=len(errand.chunk.rows), submitted=made, created=report.created, adopted=report.adopted)

    @property
    def _is_settled(self) -> bool:
        """Whether every task that there may be is in the ledger."""
        return self._submitter.settled and not self._away and not self._unsettled

    def finish_submission(self) -> None:
        """Publish the rejects of this run. Every task is recorded now, or the next run looks for it."""
        self._ledger.refresh()
        self.plan.drop_recorded()
        if not (self.counts.not_submitted and rejects.is_its_file(self.plan.folder, self.plan.job.manifest.uri)):
            rejects.publish(self.plan.folder, self.plan.rejected, self.plan.manifest.schema)
        if self.plan.is_walked:
            self._accounts().write(self.plan.folder)
        if self._is_settled:
            self._lease.forget_left_behind()
        self._lease.release(mark=not self._is_settled)

    def collect(self) -> int:
        """One look at what has come back. Returns the number of tasks that are new."""
        answered, labeled = len(self._outcomes), self._outcomes.labeled
        try:
            return self._collector.collect(poll=self._watch.asks())
        finally:
            new = len(self._outcomes) - answered
            self.counts.add(answered=new, labeled=self._outcomes.labeled - labeled)

    def wait_and_collect(self) -> int:
        """A look while people are waited for: where the API does not answer, as long as the job bears that, none."""
        with self._patience.look():
            return self.collect()
        return 0

    @property
    def waiting(self) -> int:
        """Tasks that have not come back yet."""
        return waiting(self._ledger, self._outcomes)

    def pauses(self) -> Iterator[float]:
        """Pause between looks until the job's patience is over; see `Watch.pauses`."""
        return self._watch.pauses()

    def finish(self) -> Summary:
        """Write the summary; once nothing is waited for, make the files large. Raises DoesNotAddUp."""
        if not self.waiting:
            self._collector.make_files_large()
        summary = self.summary()
        summary.write(self.plan.folder)
        summary.check()
        self.finished = summary
        return summary

    def summary(self) -> Summary:
        """How the job stands, counted from what was read, submitted and collected in this run and before."""
        counts = self.counts
        return replace(
            summarize(self.plan.job, self._accounts(), self._ledger, self._outcomes),
            unexpected=self._collector.unexpected,
            unknown_callbacks=self._collector.unknown_callbacks,
            created=counts.created,
            adopted=counts.adopted,
            seconds=dict(counts.seconds),
        )

    def _accounts(self) -> ManifestAccounts:
        self.plan.drop_recorded()
        return ManifestAccounts.of(self.plan, self._gone())

    def _gone(self) -> list[str]:
        """The rows that have a task and are not in the manifest; it takes a while to find them among a million."""
        state = self.counts.read, len(self._ledger), self._ledger.tasks
        if self._gone_at != state:
            lacking = [self.plan.lacks(row_ids) for row_ids, _ in self._ledger.rows()]
            self._gone_rows, self._gone_at = [row_id for some in lacking for row_id in some], state
        return self._gone_rows

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for and recorded by its own step."""
        self.plan.stop.set()

    def close(self) -> None:
        """End threads and connections, and leave the folder; where tasks may be unrecorded, with a mark."""
        self._submitter.close()
        self._leave()

    def _leave(self) -> None:
        if self._receiver:
            self._receiver.stop()
        self.plan.close()
        self._client.close()
        with suppress(StoreTrouble):  # then the next run waits until the lease has run out
            self._lease.release(mark=True)

    def _check(self) -> None:
        """Raises where nothing more may be sent."""
        self.plan.stop.check()
        self._lease.check()

    def _pause(self, seconds: float) -> None:
        self.plan.stop.pause(seconds)
        self._lease.check()


def receive_callbacks(job: Job) -> CallbackServer | None:
    """A receiver for this run, where the job waits for callbacks. Raises Unusable where it cannot listen."""
    completion = job.completion
    if completion.wait != "callback":
        return None
    from labelflow.callbacks.receiver import Receiver
    from labelflow.callbacks.server import CallbackServer  # a web server, which takes its time to import

    server = CallbackServer(Receiver([job]), read_callback_key(job), completion.host, completion.port)
    server.start()
    return server
