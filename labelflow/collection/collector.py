"""Collect: take finished tasks from the acknowledged callbacks and from the API's listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from labelflow.accounting.tally import count_answers
from labelflow.callbacks.inbox import Inbox
from labelflow.collection import watermark
from labelflow.collection.created_windows import ListByCreation
from labelflow.collection.listing import Filters, IngestResult
from labelflow.collection.updated_since import ListByUpdate
from labelflow.concurrency.lease import COLLECTORS, Lease
from labelflow.errors import RunAborted
from labelflow.ledger import job_record
from labelflow.ledger.context import ConnectedJob
from labelflow.outputs.answer import Answer
from labelflow.outputs.answer_files import AnswerFiles
from labelflow.outputs.answer_tables import AnswerTables
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.records import Outcome
from labelflow.scale.client import TaskPage
from labelflow.scale.models import Task, TaskStatus
from labelflow.tables import compaction
from labelflow.tables.key_index import MISSING

LATE_WRITE_GRACE = 2.0  # seconds for a write that a killed process has sent last to reach the store


class Collector:
    """Collects answers, each once, in as many passes as it takes; a later answer replaces an earlier one.

    blocked_by: the process that was collecting during the last pass, so that this one could not; None if it could.
    """

    def __init__(self, context: ConnectedJob) -> None:
        self.blocked_by: str | None = None
        job, folder, ledger = context.job, context.folder, context.ledger
        self._context = context
        self._lease = Lease(folder, COLLECTORS, exclusive=True, request_timeout=job.scale.timeout.total_seconds())
        self._inbox = Inbox(folder, ledger)
        self._tables = AnswerTables(job, ledger.source_type)
        self.outcomes = OutcomeIndex(folder)
        self._files = AnswerFiles(folder, self._tables, self.outcomes, ledger, self._lease.check)

    @property
    def unparsed(self) -> int:
        """Answers that do not match the documented schema, kept as JSON only."""
        return self._tables.unparsed

    @property
    def unmatched_callbacks(self) -> int:
        """Acknowledged callbacks that stay stored: the ledger does not have their tasks."""
        return self._inbox.unmatched_count

    @property
    def unmatched_callback_files(self) -> list[str]:
        """The files that hold those."""
        return self._inbox.unmatched_files

    def has_callbacks(self) -> bool:
        """Whether callbacks have arrived that can be collected."""
        return self._inbox.poll()

    def collect(self, *, poll: bool = True) -> int:
        """One pass over what has finished since the last. Returns the number of new answers.

        poll: whether to ask the API, too.
        If another process is collecting, its answers are read instead, and `blocked_by` names it. A process that has
        died is waited for until its lease expires: request timeout + 40 s after its last heartbeat.
        """
        before = len(self.outcomes)
        self._context.ledger.refresh()
        has_callbacks = self._inbox.poll()
        if not has_callbacks and not (poll and len(self._context.ledger)):
            return 0
        with self._writer_lease() as may_write:
            if may_write:
                self._ingest_callbacks()
            if may_write and poll:
                self._ingest_listed()
            if may_write:
                self._files.write_empty_labels()
        return len(self.outcomes) - before

    def compact(self) -> None:
        """Merge the files of many passes into large ones; the next run does it if another process is writing."""
        with self._writer_lease() as may_write:
            for prefix in (LABELS, ERRORS) if may_write else ():
                compaction.compact(self._context.folder, prefix, self._context.ledger.row_numbers)
            if may_write:
                self._files.write_empty_labels()
                self._context.folder.remove_leftovers()

    def find_count_mismatch(self) -> str | None:
        """How the numbers of rows of labels/ and errors/ differ from the outcomes; None if they agree.

        The files hold each task once, and an answer for each row that is counted. They may hold more: answers to tasks
        that the ledger has lost. If they differ, another process may be writing: they are compared again once this
        process may write. If it may not, the writer compares them.
        """
        with suppress(RunAborted):  # a file that another process has just replaced
            if self._count_mismatch() is None:
                return None
        with self._writer_lease() as may_write:
            if not may_write:
                return None
            self._context.ledger.refresh()
            self._files.remove(self._context.ledger.superseded())
            return self._count_mismatch()

    def _count_mismatch(self) -> str | None:
        labeled, finished = self.outcomes.labeled, len(self.outcomes)
        tasks = {LABELS: labeled, ERRORS: finished - labeled}
        answered, rows = count_answers(self._context.ledger, self.outcomes), self._files.count_rows()
        wrong = [
            f"the files of {prefix} have {rows[prefix]:,} rows, with answers to {tasks[prefix]:,} tasks and for "
            f"{answered[prefix]:,} rows of the ledger"
            for prefix in rows
            if rows[prefix] != tasks[prefix] or rows[prefix] < answered[prefix]
        ]
        return "; ".join(wrong) or None

    @contextmanager
    def _writer_lease(self) -> Iterator[bool]:
        """Whether this process may write answers: one does at a time, so that no reader sees a row twice."""
        active = self._lease.acquire_unless_active(self._context.stop.sleep)
        self.blocked_by = str(active) if active else None
        may_write = active is None
        try:
            if may_write:
                if self._lease.abandoned:
                    self._context.stop.sleep(LATE_WRITE_GRACE)
                self._lease.clear_abandoned()
                compaction.finish_compaction(self._context.folder)
            self.outcomes.refresh(exact=may_write)
            if may_write:
                self._add_carried_columns()
                self._files.remove(self._context.ledger.superseded())
            yield may_write
        finally:
            self._lease.release()

    def _add_carried_columns(self) -> None:
        """Give the files the columns that a run has added. Raises RunAborted if it did so after this job was opened."""
        folder = self._context.folder
        names = job_record.added_columns(folder)
        if not names:
            return
        if not set(names) <= {field.name for field in list(self._context.ledger.source_type)}:
            raise RunAborted(f"{folder.uri}: another run has added columns to the job; run this command again")
        self._files.add_carried_columns()
        self._lease.check()
        folder.delete(job_record.ADDED_COLUMNS)

    def _ingest_callbacks(self) -> None:
        for batch in self._inbox.batches():
            self._context.stop.check()
            self._ingest([callback.to_task(self._context.job.task_type) for callback in batch])
            self._files.flush()

    def _ingest_listed(self) -> None:
        """Ingest what the listing shows since the last pass of any process."""
        folder, ledger = self._context.folder, self._context.ledger
        now = self._context.client.now
        known = watermark.read(folder, len(self.outcomes), now())
        strategy: ListByUpdate | ListByCreation
        if ledger.supports_unique_id:
            strategy = ListByUpdate(ledger, self._pages, self._ingest_page, now)
        else:
            strategy = ListByCreation(ledger, self.outcomes, self._pages, self._ingest_page, self._files.flush, now)
        try:
            reached = strategy.read(known)
        finally:  # an interrupted pass is repeated: what it read is kept
            self._files.flush()
        reached.answers = len(self.outcomes)
        if reached != known:
            self._lease.check()
            watermark.write(folder, reached)

    def _ingest_page(self, page: TaskPage) -> IngestResult:
        new, unknown = self._ingest(page.tasks)
        return IngestResult(new, complete=not page.parse_errors and not any(map(self._is_unrecorded, unknown)))

    def _is_unrecorded(self, task: Task) -> bool:
        """Whether another process has created a task that the ledger does not have yet."""
        is_own = task.metadata.get("job") == self._context.job.name
        return is_own and not self._context.ledger.has_task(task.task_id)

    def _ingest(self, tasks: Sequence[Task]) -> tuple[int, list[Task]]:
        """Add the answers of finished tasks. A task that is pending again keeps its answer until it has another one.

        Returns the number of new answers, and the tasks that are not the job's or are superseded.
        """
        positions = self._context.ledger.find([task.task_id for task in tasks]).tolist()
        matched = [(task, position) for task, position in zip(tasks, positions, strict=True) if position != MISSING]
        answers = [Answer.of(task, position) for task, position in matched]
        finished = [answer for answer in answers if answer.outcome is not Outcome.PENDING]
        versions = self._files.versions([answer.task_id for answer in finished])
        for answer, version in zip(finished, versions, strict=True):
            if answer.version > version:
                self._files.add(answer)
        unknown = [task for task, position in zip(tasks, positions, strict=True) if position == MISSING]
        return versions.count(MISSING), unknown

    def _pages(self, status: TaskStatus, filters: Filters) -> Iterator[TaskPage]:
        """Tasks of the job's type, those of other jobs included."""
        for page in self._context.client.list_pages(type=self._context.job.task_type, status=status.value, **filters):
            self._context.stop.check()
            yield page
