"""Collect: take over what people answered, from the acknowledged callbacks and from the list of tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from labelflow.callbacks.inbox import Inbox
from labelflow.collection import watermark
from labelflow.collection.created_windows import Filters, pending_windows
from labelflow.collection.watermark import OVERLAP, Watermark
from labelflow.concurrency.lease import COLLECTORS, Lease
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.outputs.answer import Answer
from labelflow.outputs.answer_files import AnswerFiles
from labelflow.outputs.answer_tables import AnswerTables
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.records import Outcome
from labelflow.scale.client import ScaleClient, TaskPage
from labelflow.scale.models import Task, TaskStatus, format_time
from labelflow.storage.folder import Folder
from labelflow.tables import compaction
from labelflow.tables.key_index import MISSING

LATE_WRITE_GRACE = 2.0


@dataclass(frozen=True, slots=True)
class _PageResult:
    """What a page brought: how many answers are new; whether it has nothing that must be looked at again."""

    new: int
    complete: bool


class Collector:
    """Takes answers over, each once, in as many passes as it takes; a later one replaces the one before."""

    def __init__(
        self,
        job: Job,
        client: ScaleClient,
        ledger: Ledger,
        folder: Folder,
        source_type: pa.DataType,
        stop: StopToken,
    ) -> None:
        self._job = job
        self._client = client
        self._ledger = ledger
        self._folder = folder
        self._stop = stop
        self._lease = Lease(folder, COLLECTORS, exclusive=True, request_timeout=job.scale.timeout.total_seconds())
        self._inbox = Inbox(folder, ledger)
        self._tables = AnswerTables(job, source_type)
        self.outcomes = OutcomeIndex(folder)
        self._files = AnswerFiles(folder, self._tables, self.outcomes, ledger, self._lease.check)

    @property
    def unparsed(self) -> int:
        """Answers whose shape is not the promised one, kept as JSON only."""
        return self._tables.unparsed

    @property
    def unmatched_callbacks(self) -> int:
        """Acknowledged callbacks that wait in the output folder, for the ledger does not know their tasks."""
        return self._inbox.unmatched_count

    @property
    def unmatched_callback_files(self) -> list[str]:
        """The files in which those wait."""
        return self._inbox.unmatched_files

    def has_callbacks(self) -> bool:
        """Whether callbacks came in that can be taken over."""
        return self._inbox.poll()

    def collect(self, *, poll: bool = True) -> int:
        """One pass over what has come back since the last. Returns the number of tasks that are new.

        poll: ask the API, too.
        Where another process is at it, its answers are taken note of instead.
        """
        before = len(self.outcomes)
        self._ledger.refresh()
        has_callbacks = self._inbox.poll()
        if not has_callbacks and not (poll and len(self._ledger)):
            return 0
        with self._writer_lease() as may_write:
            if may_write:
                self._ingest_callbacks()
            if may_write and poll:
                self._ingest_listed()
        return len(self.outcomes) - before

    def compact(self) -> None:
        """Merge what many passes wrote; leaves it to the next run where another process is writing."""
        with self._writer_lease() as may_write:
            for prefix in (LABELS, ERRORS) if may_write else ():
                compaction.compact(self._folder, prefix, self._ledger.row_numbers)

    @contextmanager
    def _writer_lease(self) -> Iterator[bool]:
        """Whether this process may write answers: one does at a time, so that no reader sees a row twice."""
        may_write = self._lease.try_acquire() is None
        try:
            if may_write:
                if self._lease.abandoned:  # what a killed process sent last may still be on its way to the store
                    self._stop.sleep(LATE_WRITE_GRACE)
                self._lease.clear_abandoned()
                compaction.finish_compaction(self._folder)
            self.outcomes.refresh(exact=may_write)
            if may_write:
                self._files.remove(self._ledger.superseded())
            yield may_write
        finally:
            self._lease.release()

    def _ingest_callbacks(self) -> None:
        for batch in self._inbox.batches():
            self._stop.check()
            self._ingest([callback.to_task(self._job.task_type) for callback in batch])
            self._files.flush()

    def _ingest_listed(self) -> None:
        """What came back since the last look at the list, whoever made it."""
        known = watermark.read(self._folder, len(self.outcomes))
        try:
            seen = self._ingest_updated(known) if self._ledger.supports_unique_id else self._ingest_windows(known)
        finally:  # a look may be broken off and made again: what it saw counts as come back
            self._files.flush()
        seen.answers = len(self.outcomes)
        if seen != known:
            self._lease.check()
            watermark.write(self._folder, seen)

    def _ingest_updated(self, known: Watermark) -> Watermark:
        """Contract B: all that changed since the watermark, however; which is moved if nothing has to be seen again."""
        begun, told, is_whole = time.monotonic(), known.read_until, True
        first = self._ledger.first_created()
        filters = {"start_time": format_time(first - OVERLAP)} if first else {}
        if known.since:
            filters["updated_after"] = format_time(known.since)
        for status in (TaskStatus.COMPLETED, TaskStatus.CANCELED, TaskStatus.ERROR):
            for page in self._pages(status, filters):
                is_whole &= self._ingest_page(page).complete
                told = max(filter(None, (told, watermark.newest(page.tasks))), default=None)
        if not is_whole or told is None:
            return known.model_copy()
        # A task may have changed on a page that had been read: the watermark is when the look began.
        seen = told - timedelta(seconds=time.monotonic() - begun)
        return Watermark(read_until=max(filter(None, (known.read_until, seen))))

    def _ingest_windows(self, known: Watermark) -> Watermark:
        """Contract A: the windows of creation in which tasks are waited for, each as far as there is something new."""
        totals: dict[str, int] = {}
        for status in (TaskStatus.COMPLETED, TaskStatus.CANCELED):
            for filters in pending_windows(self._ledger, self.outcomes):
                name = " ".join((status, *filters.values()))
                total = self._ingest_window(status, filters, known.totals.get(name))
                if total:
                    totals[name] = total
            self._files.flush()  # what came back is waited for no more: the next lists are shorter
        return Watermark(totals=totals, counted_at=known.counted_at or datetime.now(UTC))

    def _ingest_window(self, status: TaskStatus, filters: Filters, before: int | None) -> int | None:
        """Read a list until nothing in it can be new; `before`: how many tasks it had when it was last read.

        Returns how many it has now, None where it has to be read to its end again.
        """
        total, new, is_whole = None, 0, True
        for page in self._pages(status, filters):
            total = page.total if total is None else total
            taken = self._ingest_page(page)
            new, is_whole = new + taken.new, is_whole and taken.complete
            if before and before <= total <= before + new:
                break
        return total if is_whole else None

    def _ingest_page(self, page: TaskPage) -> _PageResult:
        new, strange = self._ingest(page.tasks)
        return _PageResult(new, complete=not page.parse_errors and not any(map(self._is_unrecorded, strange)))

    def _is_unrecorded(self, task: Task) -> bool:
        """Whether another process has created a task that the ledger does not know."""
        return task.metadata.get("job") == self._job.name and not self._ledger.has_task(task.task_id)

    def _ingest(self, tasks: Sequence[Task]) -> tuple[int, list[Task]]:
        """Take what has come back. A task that is pending again keeps its answer until there is another one.

        Returns how many are new, and the tasks that are not the job's or are superseded.
        """
        places = self._ledger.find([task.task_id for task in tasks]).tolist()
        answers = [Answer.of(task, place) for task, place in zip(tasks, places, strict=True) if place != MISSING]
        answers = [answer for answer in answers if answer.outcome is not Outcome.PENDING]
        known = self._files.versions([answer.task_id for answer in answers])
        for answer, before in zip(answers, known, strict=True):
            if answer.version > before:
                self._files.add(answer)
        return known.count(MISSING), [task for task, place in zip(tasks, places, strict=True) if place == MISSING]

    def _pages(self, status: TaskStatus, filters: Filters) -> Iterator[TaskPage]:
        """Tasks of the job's type, other jobs' among them."""
        for page in self._client.list_pages(type=self._job.task_type, status=status.value, **filters):
            self._stop.check()
            yield page
