"""Label a data set: the steps of a run, in the order in which the flow calls them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from labelflow.accounting.summary import Summary
from labelflow.accounting.tally import count_pending, summarize
from labelflow.collection.collector import Collector
from labelflow.collection.outage_tolerance import OutageTolerance
from labelflow.collection.polling import PollSchedule
from labelflow.jobs.credentials.keys import read_callback_key
from labelflow.jobs.job import Job
from labelflow.operations.session import RunSession
from labelflow.operations.superseded_tasks import cancel_superseded
from labelflow.outputs import rejects
from labelflow.planning.plan import Plan
from labelflow.submission.dispatch import Dispatcher

if TYPE_CHECKING:
    from labelflow.callbacks.server import CallbackServer


class LabelRun:
    """One run of a job: `dispatcher` submits the chunks of the plan, then answers are collected.

    Opening it claims the output folder and its lease; no task is created yet.
    final_summary: how the job stands at the end of the run, None before.
    Raises InvalidInput if the API cannot be reached or refuses the key; RunAborted if another run of the job is active
    that excludes this one.

    >>> with closing(LabelRun(Plan(job))) as run:
    ...     for chunk in run.plan.chunks():
    ...         run.dispatcher.submit(chunk)
    ...     run.finish_submission()
    ...     run.collect()
    ...     run.finish()
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.progress = plan.progress
        self.final_summary: Summary | None = None
        self._session = RunSession(plan)
        context = self._session.context
        self._context = context
        self._collector = Collector(context)
        settings, has_callbacks = context.job.collect, self._collector.has_callbacks
        self._schedule = PollSchedule(settings, context.stop, has_callbacks, resumed=len(context.ledger) > 0)
        self._outage_tolerance = OutageTolerance(settings.outage_tolerance, plan.progress)
        self._callback_server: CallbackServer | None = None
        try:
            self._callback_server = start_callback_server(context.job)
            self.dispatcher = self._open_dispatcher()
        except BaseException:
            self._release()
            raise
        outcomes = self._collector.outcomes
        self.progress.add(labeled=outcomes.labeled, finished=len(outcomes))

    def _open_dispatcher(self) -> Dispatcher:
        """Find what earlier runs have left, now that none of them is active any more."""
        unrecorded = self._session.find_unrecorded()
        self.plan.selection.unrecorded = {row_id for row_id, _ in unrecorded}
        if self.plan.relabel and self.plan.relabel.needs_outcomes:
            self.collect()
        if self.plan.request:
            self.plan.request.save()
        return Dispatcher(self.plan, self._context, unrecorded, self._session.lease.file, self._session.check)

    def finish_submission(self) -> None:
        """Write the rejects of this run. Every task is recorded now, or the next run looks for it."""
        context, plan = self._context, self.plan
        context.ledger.refresh()
        plan.discard_submitted()
        is_complete = plan.is_scanned and not self.progress.not_submitted
        is_own_file = rejects.is_rejects_file(context.folder, context.job.manifest.uri)
        if plan.is_repair and not is_own_file:
            rejects.discard_submitted(context.folder, plan.has_task)
        elif is_complete or not is_own_file:
            digest = plan.builder.input_digest
            rejects.write_rejects(context.folder, plan.unsubmitted.rejected, plan.manifest.schema, digest)
        if plan.is_scanned:
            plan.totals().write(context.folder)
        if plan.request and plan.is_scanned and self.dispatcher.all_relabeled:
            plan.request.finish()
        cancel_superseded(self._context)
        self._session.finish_submission(all_recorded=self.dispatcher.all_recorded)

    def collect(self) -> int:
        """One pass over what has finished. Returns the number of new answers."""
        outcomes = self._collector.outcomes
        finished, labeled = len(outcomes), outcomes.labeled
        try:
            return self._collector.collect(poll=self._schedule.should_poll_api())
        finally:
            self.progress.add(finished=len(outcomes) - finished, labeled=outcomes.labeled - labeled)

    def wait_and_collect(self) -> int:
        """A pass during the wait for answers: an API outage is tolerated as long as the job allows."""
        with self._outage_tolerance.attempt():
            return self.collect()
        return 0

    @property
    def pending(self) -> int:
        """Tasks that are not finished yet."""
        return count_pending(self._context.ledger, self._collector.outcomes)

    def intervals(self) -> Iterator[float]:
        """Wait between passes, until the job's timeout; see `PollSchedule.intervals`."""
        return self._schedule.intervals()

    def finish(self) -> Summary:
        """Write the summary; once nothing is pending, compact the files. Raises CountMismatch."""
        if not self.pending:
            self._collector.compact()
        mismatch = self._collector.find_count_mismatch()
        summary = self.summary()
        summary.write(self._context.folder)
        summary.check(mismatch)
        self.final_summary = summary
        return summary

    def summary(self) -> Summary:
        """How the job stands, counted from what was read, submitted and collected in this run and before."""
        context, progress, collector = self._context, self.progress, self._collector
        return replace(
            summarize(context.job, self.plan.totals(), context.ledger, collector.outcomes),
            unparsed=collector.unparsed,
            unmatched_callbacks=collector.unmatched_callbacks,
            created=progress.created,
            recovered=progress.recovered,
            seconds=dict(progress.seconds),
        )

    def stop(self) -> None:
        """Send nothing more. Chunks in flight finish and record their tasks."""
        self._context.stop.set()

    def close(self) -> None:
        """End threads and connections, and release the folder. If tasks may be unrecorded, the lease record stays."""
        self.dispatcher.close()
        self._release()

    def _release(self) -> None:
        if self._callback_server:
            self._callback_server.stop()
        self.plan.close()
        self._session.close()


def label(plan: Plan, *, wait: bool = True) -> Summary:
    """Submit what a plan needs, collect the answers, and write the summary, in this thread.

    wait: until every task has finished, or the job's timeout; otherwise collect once. Raises as `LabelRun` does, and
    TooManyUnlabeled if so many rows are invalid that the submission stops.
    """
    with closing(LabelRun(plan)) as run:
        for chunk in run.plan.chunks():
            run.dispatcher.submit(chunk)
        run.finish_submission()
        if not wait:
            run.collect()
            return run.finish()
        run.wait_and_collect()
        intervals = run.intervals()
        while run.pending and next(intervals, None) is not None:
            run.wait_and_collect()
        return run.finish()


def start_callback_server(job: Job) -> CallbackServer | None:
    """A callback receiver for this run, if the job waits for callbacks. Raises InvalidInput if it cannot listen."""
    settings = job.collect
    if settings.wait != "callback":
        return None
    from labelflow.callbacks.callback_router import CallbackRouter
    from labelflow.callbacks.server import CallbackServer  # a web server is slow to import

    server = CallbackServer(CallbackRouter([job]), read_callback_key(job), settings.host, settings.port)
    server.start()
    return server
