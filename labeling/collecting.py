"""Collect: take over what people answered, from the acknowledged callbacks and from the list of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from labeling import compaction
from labeling.accounts import waiting
from labeling.answer_files import AnswerFiles
from labeling.answers import Answering, outcome_of, told_by, version
from labeling.inbox import Inbox
from labeling.job import Job
from labeling.lease import COLLECTORS, Lease
from labeling.ledger import Ledger
from labeling.outcomes import ERRORS, LABELS, Outcomes
from labeling.stages import Outcome, Submission
from labeling.stopping import Stop
from labeling.storage import Folder
from scale.client import ScaleClient
from scale.contract import Task, TaskStatus, format_time

LATE_WRITE_SECONDS = 2.0
OVERLAP = timedelta(minutes=10)  # of two looks at the list: clocks differ, and listings lag


class Collector:
    """Takes answers over, each once, in as many passes as it takes; a later one replaces the one before."""

    def __init__(
        self,
        job: Job,
        client: ScaleClient,
        ledger: Ledger,
        folder: Folder,
        source_type: pa.DataType,
        stop: Stop,
    ) -> None:
        self._job = job
        self._client = client
        self._ledger = ledger
        self._folder = folder
        self._stop = stop
        self._completed_after: datetime | None = None
        self._lease = Lease(folder, COLLECTORS, exclusive=True, longest_answer=job.scale.timeout.total_seconds())
        self._inbox = Inbox(folder, ledger)
        self._answering = Answering(job, source_type)
        self.outcomes = Outcomes(folder)
        self._files = AnswerFiles(folder, self._answering, self.outcomes, ledger.row_numbers, self._lease.check)

    @property
    def unexpected(self) -> int:
        """Answers whose shape is not the promised one, kept as JSON only."""
        return self._answering.unexpected

    @property
    def unknown_callbacks(self) -> int:
        """Acknowledged callbacks that wait in the output folder, for the ledger does not know their tasks."""
        return self._inbox.unknown

    def has_callbacks(self) -> bool:
        """Whether callbacks came in that can be taken over."""
        return self._inbox.look()

    def collect(self, *, poll: bool = True) -> int:
        """One pass over what has come back since the last. Returns the number of tasks that are new.

        poll: ask the API, too.
        Where another process is at it, its answers are taken note of instead.
        """
        before = len(self.outcomes)
        self._ledger.refresh()
        has_callbacks = self._inbox.look()
        if not has_callbacks and not (poll and len(self._ledger)):
            return 0
        with self._writing() as may_write:
            if may_write:
                self._take_callbacks()
            if may_write and poll:
                self._take_listed()
        return len(self.outcomes) - before

    def make_files_large(self) -> None:
        """Merge what many passes wrote; leaves it to the next run where another process is writing."""
        with self._writing() as may_write:
            for prefix in (LABELS, ERRORS) if may_write else ():
                compaction.compact(self._folder, prefix, self._ledger.row_numbers)

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """Whether this process may write answers: one does at a time, so that no reader sees a row twice."""
        may_write = self._lease.try_take() is None
        try:
            if may_write:
                if self._lease.left_behind:  # what a killed process sent last may still be on its way to the store
                    self._stop.pause(LATE_WRITE_SECONDS)
                self._lease.forget_left_behind()
                compaction.finish_compaction(self._folder)
            self.outcomes.refresh(exact=may_write)
            if may_write:
                self._files.drop(self._ledger.superseded())
            yield may_write
        finally:
            self._lease.release()

    def _take_callbacks(self) -> None:
        for batch in self._inbox.batches():
            self._stop.check()
            submissions = self._ledger.find([callback.task_id or "" for callback in batch])
            pairs = [(one, submission) for one, submission in zip(batch, submissions, strict=True) if submission]
            self._take([(told_by(one, self._job.task_type, submission), submission) for one, submission in pairs])
            self._files.flush()

    def _take_listed(self) -> None:
        newest, missed = self._completed_after, False
        try:
            for tasks in self._come_back():
                newest = max(filter(None, (newest, *(task.completed_at for task in tasks))), default=None)
                submissions = self._ledger.find([task.task_id for task in tasks])
                self._take([(task, its) for task, its in zip(tasks, submissions, strict=True) if its])
                strange = [task for task, its in zip(tasks, submissions, strict=True) if its is None]
                missed |= any(map(self._is_about_to_be_recorded, strange))
        finally:  # a look may be broken off and made again: what it saw counts as come back
            self._files.flush()
        if self._ledger.server_knows_ids and newest and not missed:
            # A time that is still to come would hide the answers that come until then.
            self._completed_after = min(newest, datetime.now(UTC)) - OVERLAP

    def _is_about_to_be_recorded(self, task: Task) -> bool:
        """Whether another process has created a task that the ledger does not know."""
        return task.metadata.get("job") == self._job.name and not self._ledger.has_task(task.task_id)

    def _take(self, answered: Sequence[tuple[Task, Submission]]) -> None:
        """A task that is pending again keeps its answer until there is another one."""
        come_back = [(task, its) for task, its in answered if outcome_of(task) is not Outcome.PENDING]
        known = self._files.versions([task.task_id for task, _ in come_back])
        for (task, submission), before in zip(come_back, known, strict=True):
            if before is None or version(task) > before:
                self._files.add(self._answering.answer(task, submission))

    def _come_back(self) -> Iterator[list[Task]]:
        """Tasks of the job's type that are no longer pending, other jobs' among them; a page at once."""
        first = self._ledger.first_created()
        since = {"start_time": format_time(first - OVERLAP)} if first else {}
        if not waiting(self._ledger, self.outcomes):
            yield from self._answered_anew(since)
            return
        window = {"completed_after": format_time(self._completed_after)} if self._completed_after else {}
        yield from self._list(TaskStatus.COMPLETED, {**since, **window})
        yield from self._list(TaskStatus.CANCELED, since)
        if self._ledger.server_knows_ids:
            yield from self._list(TaskStatus.ERROR, since)

    def _answered_anew(self, since: dict[str, str]) -> Iterator[list[Task]]:
        """Where nothing is waited for: tasks that were recalled and answered again since the last answer of all."""
        last = self.outcomes.last_completed
        if self._ledger.server_knows_ids and last:
            yield from self._list(TaskStatus.COMPLETED, {**since, "completed_after": format_time(last - OVERLAP)})

    def _list(self, status: TaskStatus, filters: dict[str, str]) -> Iterator[list[Task]]:
        for page in self._client.list_pages(type=self._job.task_type, status=status.value, **filters):
            self._stop.check()
            yield page.tasks
