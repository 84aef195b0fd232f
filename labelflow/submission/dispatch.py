"""Dispatch chunks of rows: to this process, or as work items to workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labelflow.ledger.context import ConnectedJob
from labelflow.planning.chunk import Chunk
from labelflow.planning.plan import Plan
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.records import SubmissionReport
from labelflow.submission.chunk_worker import WorkItem
from labelflow.submission.reconciliation import UnrecordedTasks
from labelflow.submission.submitter import Submitter
from labelflow.submission.task_cap import TaskCap


class Dispatcher:
    """Submits the chunks of a plan. Several may be in flight at once.

    unrecorded: tasks of earlier runs that are not in the ledger yet.
    lease: the name of the file that workers elsewhere watch.
    check: raises if nothing more may be sent.
    """

    def __init__(
        self, plan: Plan, context: ConnectedJob, unrecorded: UnrecordedTasks, lease: str, check: Callable[[], None]
    ) -> None:
        self._plan = plan
        self._unrecorded = unrecorded
        self._lease = lease
        remaining = plan.remaining_tasks()
        self._cap = TaskCap(None if remaining is None else max(0, remaining - len(unrecorded)))
        self._items_in_flight = 0
        self._has_unknown_outcomes = False
        self._relabel_deferred = 0
        self._submitter = Submitter(
            context,
            plan.progress,
            unrecorded,
            relabel_changed=plan.relabel is RelabelMode.CHANGED,
            check=check,
        )

    @property
    def all_recorded(self) -> bool:
        """Whether every task that may exist is in the ledger."""
        return self._submitter.all_recorded and not self._items_in_flight and not self._has_unknown_outcomes

    @property
    def all_relabeled(self) -> bool:
        """Whether every row to relabel has its new task in the ledger."""
        return self.all_recorded and not self._relabel_deferred

    def submit(self, chunk: Chunk) -> SubmissionReport:
        """Check the rows of a chunk and create their tasks, in this process.

        Raises TooManyUnlabeled if more rows are rejected than the job allows: then no task is created.
        """
        prepared, rejected = self._plan.check(chunk)
        self._plan.check_reject_limit()
        report = self._submitter.submit(prepared, self._cap)
        self._record_unsubmitted(report)
        self._plan.progress.add(submitted=report.relabel_deferred)
        self._relabel_deferred += report.relabel_deferred
        return replace(report, rejected=[*rejected, *report.rejected])

    def make_work_item(self, chunk: Chunk, workers: int) -> WorkItem:
        """Return a chunk as a work item for one of `workers` workers. Raises TooManyUnlabeled, as `submit` does."""
        plan = self._plan
        plan.check_reject_limit()
        self._items_in_flight += 1
        rate, row_ids = plan.context.job.submit.rate, {plan.builder.row_id(row) for row in chunk.rows}
        return WorkItem(
            plan.context.job,
            chunk,
            schema=plan.manifest.schema,
            source_type=plan.builder.source_type,
            lease=self._lease,
            rate=rate and rate / workers,
            tasks=self._cap.take(len(chunk.rows)),
            unrecorded={key: task for key, task in self._unrecorded.items() if key[0] in row_ids},
        )

    def record_result(self, item: WorkItem, report: SubmissionReport) -> None:
        """Add the result of a work item to the numbers of the run."""
        progress = self._plan.progress
        self._items_in_flight -= 1
        self._cap.give_back(report.unused_tasks)
        if not report.outcome_unknown:
            for key in item.unrecorded:
                self._unrecorded.pop(key, None)
        self._has_unknown_outcomes |= bool(report.outcome_unknown)
        progress.first_invalid_response = progress.first_invalid_response or report.first_invalid_response
        self._record_unsubmitted(report)
        submitted = report.created + report.recovered
        progress.add(
            checked=len(item.chunk.rows), submitted=submitted, created=report.created, recovered=report.recovered
        )

    def close(self) -> None:
        """End the threads."""
        self._submitter.close()

    def _record_unsubmitted(self, report: SubmissionReport) -> None:
        unsubmitted = self._plan.unsubmitted
        unsubmitted.reject(report.rejected)
        unsubmitted.add_over_cap(report.over_cap)
        unsubmitted.add_outcome_unknown(report.outcome_unknown)
