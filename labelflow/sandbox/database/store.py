"""The tasks in SQLite. Each change is committed before a client gets its response."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labelflow.sandbox.api.auth import Account
from labelflow.sandbox.api.task_request import NewTask
from labelflow.sandbox.database.due_queue import DueQueue, now_ms
from labelflow.sandbox.database.records import COLUMNS, TaskRow
from labelflow.sandbox.database.schema import open_database
from labelflow.sandbox.errors import ApiError
from labelflow.sandbox.settings.options import Options, Turnaround
from labelflow.scale.models import TaskStatus

INSERT = f"INSERT INTO tasks ({COLUMNS}) VALUES ({', '.join('?' * len(TaskRow._fields))})"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a task; `response` is JSON.

    failed: whether the task failed; the 2017 API has no status for it.
    needs_callback: whether a callback must be sent.
    """

    seq: int
    status: TaskStatus
    failed: bool
    response: str
    needs_callback: bool


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt to deliver a callback. retry_at: milliseconds since 1970, None after the last attempt."""

    seq: int
    succeeded: bool
    retry_at: int | None


class Store:
    """The tasks of all accounts, and the queues of due work.

    task_queue: pending tasks by the time of their answer. callback_queue: callbacks by the time of the next attempt.
    change_count: increases with each transaction.
    Use it in the thread of the event loop only. Raises sqlite3.Error if the database cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self.db = open_database(options.database)
        self.task_queue, self.callback_queue = DueQueue(), DueQueue()
        self.change_count = 0
        self._turnaround: Turnaround = options.turnaround
        self._pending_creates: list[tuple[Account, NewTask, asyncio.Future[TaskRow]]] = []
        last = self.db.execute("SELECT seq, created_at FROM tasks ORDER BY seq DESC LIMIT 1").fetchone()
        self._last_seq: int = last[0] if last else 0
        self._last_time: int = last[1] if last else 0  # of a transaction, in milliseconds since 1970
        self._restore()

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    def _restore(self) -> None:
        """Queue the unfinished work of an earlier process."""
        pending = self.db.execute("SELECT due_at, seq FROM tasks WHERE status = ?", (TaskStatus.PENDING,))
        for due_at, seq in pending:
            self.task_queue.add(due_at, seq)
        for due_at, seq in self.db.execute("SELECT due_at, seq FROM deliveries"):
            self.callback_queue.add(due_at, seq)

    @contextmanager
    def _transaction(self) -> Iterator[int]:
        """Run a transaction; yields its time in milliseconds since 1970, which never decreases."""
        self.change_count += 1
        self._last_time = max(self._last_time, now_ms())
        self.db.execute("BEGIN")
        try:
            yield self._last_time
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    # Creation: concurrent requests share one transaction.

    async def create(self, account: Account, new: NewTask) -> TaskRow:
        """Store a new task, committed on return. Raises ApiError (409) if another task has its `unique_id`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[TaskRow] = loop.create_future()
        if not self._pending_creates:
            loop.call_soon(self._create_pending)
        self._pending_creates.append((account, new, future))
        return await future

    def _create_pending(self) -> None:
        creates, self._pending_creates = self._pending_creates, []
        try:
            with self._transaction() as now:
                results = [self._insert(account, new, now) for account, new, _ in creates]
        except sqlite3.Error as error:
            results = [ApiError(500, f"The sandbox cannot write its database: {error}")] * len(creates)
        for (_, _, future), result in zip(creates, results, strict=True):
            if isinstance(result, TaskRow):
                self.task_queue.add(result.due_at, result.seq)
            if future.done():
                continue
            if isinstance(result, TaskRow):
                future.set_result(result)
            else:
                future.set_exception(result)

    def _insert(self, account: Account, new: NewTask, now: int) -> TaskRow | ApiError:
        row = self._row(account, new, now)
        try:
            self.db.execute(INSERT, row)
        except sqlite3.IntegrityError:
            return self._unique_id_conflict(account.owner, new.unique_id)
        self._last_seq = row.seq
        return row

    def _row(self, account: Account, new: NewTask, now: int) -> TaskRow:
        seq = self._last_seq + 1
        task_id = f"{now // 1000:08x}{seq:016x}"
        delay = 0.0 if account.is_test else self._turnaround.seconds_for(task_id)
        return TaskRow(
            seq=seq,
            task_id=task_id,
            owner=account.owner,
            is_test=account.is_test,
            type=new.type,
            status=TaskStatus.PENDING,
            created_at=now,
            completed_at=None,
            updated_at=now,
            due_at=now + round(delay * 1000),
            unique_id=new.unique_id,
            frees_unique_id=new.frees_unique_id,
            project=new.project,
            batch=new.batch,
            tags=new.tags,
            callback_url=new.callback_url,
            callback_succeeded=None,
            instruction=new.instruction,
            urgency=new.urgency,
            params=new.params,
            metadata=new.metadata,
            response=None,
        )

    def _unique_id_conflict(self, owner: int, unique_id: str | None) -> ApiError:
        """Return a 409 with the id of the task that has the unique_id. Source: current API."""
        query = "SELECT task_id FROM tasks WHERE owner = ? AND unique_id = ?"
        (task_id,) = self.db.execute(query, (owner, unique_id)).fetchone()
        return ApiError(409, f'The unique_id ("{unique_id}") is already used for a different task ({task_id}).')

    # Reading

    def get(self, owner: int, task_id: str) -> TaskRow:
        """Return a task of an account. Raises ApiError (404) if the account has no task with this id."""
        for row in self.rows([_parse_seq(task_id)]):
            if row.task_id == task_id and row.owner == owner:
                return row
        raise ApiError(404, f"There is no task {task_id!r}.")

    def rows(self, seqs: Sequence[int]) -> list[TaskRow]:
        """Return the tasks with these sequence numbers, oldest first."""
        placeholders = ", ".join("?" * len(seqs))
        cursor = self.db.execute(f"SELECT {COLUMNS} FROM tasks WHERE seq IN ({placeholders}) ORDER BY seq", seqs)
        return [TaskRow._make(row) for row in cursor]

    # Changes

    def update(self, row: TaskRow, **columns: Any) -> TaskRow:
        """Set columns of a task. Raises ApiError (409) if another task has the `unique_id`."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        try:
            with self._transaction() as now:
                query = f"UPDATE tasks SET {assignments}, updated_at = ? WHERE seq = ?"
                self.db.execute(query, (*columns.values(), now, row.seq))
        except sqlite3.IntegrityError:
            raise self._unique_id_conflict(row.owner, columns["unique_id"]) from None
        return row._replace(updated_at=now, **columns)

    def finish(self, results: Iterable[TaskResult]) -> None:
        """Store the results of tasks in one transaction; a task that was canceled meanwhile stays canceled."""
        delivery_seqs = []
        with self._transaction() as now:
            for result in results:
                if self._finish(result, now) and result.needs_callback:
                    self.db.execute("INSERT INTO deliveries VALUES (?, 0, ?)", (result.seq, now))
                    delivery_seqs.append(result.seq)
        for seq in delivery_seqs:
            self.callback_queue.add(now, seq)

    def _finish(self, result: TaskResult, now: int) -> bool:
        query = (
            "UPDATE tasks SET status = ?, response = ?, completed_at = ?, updated_at = ?, callback_succeeded = ?, "
            "unique_id = CASE WHEN ? AND frees_unique_id THEN NULL ELSE unique_id END "
            "WHERE seq = ? AND status = 'pending'"
        )
        succeeded = None if result.needs_callback else True
        values = (result.status, result.response, now, now, succeeded, result.failed, result.seq)
        return self.db.execute(query, values).rowcount == 1

    # Callbacks

    def count_attempts(self, seq: int) -> int:
        """Return the number of failed attempts to deliver a callback."""
        query = "SELECT attempts FROM deliveries WHERE seq = ?"
        return int(self.db.execute(query, (seq,)).fetchone()[0])

    def record_attempts(self, attempts: Iterable[DeliveryAttempt]) -> None:
        """Store delivery attempts in one transaction, and queue the retries."""
        retries = []
        with self._transaction() as now:
            for attempt in attempts:
                if attempt.retry_at is None:
                    self._finish_delivery(attempt, now)
                else:
                    query = "UPDATE deliveries SET attempts = attempts + 1, due_at = ? WHERE seq = ?"
                    self.db.execute(query, (attempt.retry_at, attempt.seq))
                    retries.append((attempt.retry_at, attempt.seq))
        for due_at, seq in retries:
            self.callback_queue.add(due_at, seq)

    def _finish_delivery(self, attempt: DeliveryAttempt, now: int) -> None:
        query = "UPDATE tasks SET callback_succeeded = ?, updated_at = ? WHERE seq = ?"
        self.db.execute(query, (attempt.succeeded, now, attempt.seq))
        self.db.execute("DELETE FROM deliveries WHERE seq = ?", (attempt.seq,))


def _parse_seq(task_id: str) -> int:
    """Return the sequence number in a task id, its last 16 digits; 0, which no task has, for another format."""
    try:
        return int(task_id[8:], 16) % 2**63 if len(task_id) == 24 else 0
    except ValueError:
        return 0
