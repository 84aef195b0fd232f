"""The tasks, in SQLite. What was answered to a client has been committed before."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labelflow.sandbox.api.auth import Account
from labelflow.sandbox.api.task_request import NewTask
from labelflow.sandbox.database.due_queue import Agenda, now_ms
from labelflow.sandbox.database.records import COLUMNS, Row
from labelflow.sandbox.database.schema import open_database
from labelflow.sandbox.errors import Refused
from labelflow.sandbox.settings.options import Options, Turnaround
from labelflow.scale.models import TaskStatus

INSERT = f"INSERT INTO tasks ({COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended; `response` is JSON.

    failed: whether it could not be done, which not every dialect has a status for.
    to_deliver: whether a callback is to be sent.
    """

    seq: int
    status: TaskStatus
    failed: bool
    response: str
    to_deliver: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending a callback; retry_at (milliseconds since 1970) is None where that was the last."""

    seq: int
    succeeded: bool
    retry_at: int | None


class Store:
    """All tasks of all accounts, and what is to be done about them.

    work: pending tasks, by when people will have done them. mail: callbacks, by when to send them.
    changes: grows with each transaction. All methods are for the event loop's thread.
    """

    def __init__(self, options: Options) -> None:
        self.db = open_database(options.database)
        self.work, self.mail = Agenda(), Agenda()
        self.changes = 0
        self._turnaround: Turnaround = options.turnaround
        self._waiting: list[tuple[Account, NewTask, asyncio.Future[Row]]] = []
        last = self.db.execute("SELECT seq, created_at FROM tasks ORDER BY seq DESC LIMIT 1").fetchone()
        self._last_seq: int = last[0] if last else 0
        self._last_time: int = last[1] if last else 0  # of a transaction, in milliseconds since 1970
        self._take_up()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def _take_up(self) -> None:
        """Note what an earlier sandbox left undone."""
        pending = self.db.execute("SELECT due_at, seq FROM tasks WHERE status = ?", (TaskStatus.PENDING,))
        for due_at, seq in pending:
            self.work.add(due_at, seq)
        for due_at, seq in self.db.execute("SELECT due_at, seq FROM deliveries"):
            self.mail.add(due_at, seq)

    @contextmanager
    def _transaction(self) -> Iterator[int]:
        """A transaction, and the time that it takes place at: never before that of an earlier one."""
        self.changes += 1
        self._last_time = max(self._last_time, now_ms())
        self.db.execute("BEGIN")
        try:
            yield self._last_time
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    # Creation: requests that arrive together share one transaction.

    async def create(self, account: Account, new: NewTask) -> Row:
        """Keep a new task, committed on return. Raises Refused (409) where its `unique_id` is taken."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Row] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._create_waiting)
        self._waiting.append((account, new, future))
        return await future

    def _create_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            with self._transaction() as now:
                results = [self._insert(account, new, now) for account, new, _ in waiting]
        except sqlite3.Error as error:
            results = [Refused(500, f"The sandbox cannot write its database: {error}")] * len(waiting)
        for (_, _, future), result in zip(waiting, results, strict=True):
            if isinstance(result, Row):
                self.work.add(result.due_at, result.seq)
            if future.done():
                continue
            if isinstance(result, Row):
                future.set_result(result)
            else:
                future.set_exception(result)

    def _insert(self, account: Account, new: NewTask, now: int) -> Row | Refused:
        row = self._row(account, new, now)
        try:
            self.db.execute(INSERT, row)
        except sqlite3.IntegrityError:
            return self._taken(account.owner, new.unique_id)
        self._last_seq = row.seq
        return row

    def _row(self, account: Account, new: NewTask, now: int) -> Row:
        seq = self._last_seq + 1
        task_id = f"{now // 1000:08x}{seq:016x}"
        delay = 0.0 if account.is_test else self._turnaround.of(task_id)
        return Row(
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

    def _taken(self, owner: int, unique_id: str | None) -> Refused:
        """The 409 that names the task that holds an id. Source: contract B."""
        query = "SELECT task_id FROM tasks WHERE owner = ? AND unique_id = ?"
        (holder,) = self.db.execute(query, (owner, unique_id)).fetchone()
        return Refused(409, f'The unique_id ("{unique_id}") is already used for a different task ({holder}).')

    # Reading

    def get(self, owner: int, task_id: str) -> Row:
        """A task of an account. Raises Refused (404) where it has none of that id."""
        for row in self.rows([_seq_of(task_id)]):
            if row.task_id == task_id and row.owner == owner:
                return row
        raise Refused(404, f"There is no task {task_id!r}.")

    def rows(self, seqs: Sequence[int]) -> list[Row]:
        """The tasks of those numbers, oldest first."""
        marks = ", ".join("?" * len(seqs))
        found = self.db.execute(f"SELECT {COLUMNS} FROM tasks WHERE seq IN ({marks}) ORDER BY seq", seqs)
        return [Row._make(row) for row in found]

    # Changes

    def change(self, row: Row, **columns: Any) -> Row:
        """Set columns of a task. Raises Refused (409) where a `unique_id` is taken."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        try:
            with self._transaction() as now:
                query = f"UPDATE tasks SET {assignments}, updated_at = ? WHERE seq = ?"
                self.db.execute(query, (*columns.values(), now, row.seq))
        except sqlite3.IntegrityError:
            raise self._taken(row.owner, columns["unique_id"]) from None
        return row._replace(updated_at=now, **columns)

    def finish(self, outcomes: Iterable[Outcome]) -> None:
        """End tasks, in one transaction; one that was canceled meanwhile stays so."""
        to_deliver = []
        with self._transaction() as now:
            for outcome in outcomes:
                if self._finish(outcome, now) and outcome.to_deliver:
                    self.db.execute("INSERT INTO deliveries VALUES (?, 0, ?)", (outcome.seq, now))
                    to_deliver.append(outcome.seq)
        for seq in to_deliver:
            self.mail.add(now, seq)

    def _finish(self, outcome: Outcome, now: int) -> bool:
        query = (
            "UPDATE tasks SET status = ?, response = ?, completed_at = ?, updated_at = ?, callback_succeeded = ?, "
            "unique_id = CASE WHEN ? AND frees_unique_id THEN NULL ELSE unique_id END "
            "WHERE seq = ? AND status = 'pending'"
        )
        succeeded = None if outcome.to_deliver else True
        values = (outcome.status, outcome.response, now, now, succeeded, outcome.failed, outcome.seq)
        return self.db.execute(query, values).rowcount == 1

    # Callbacks

    def attempts(self, seq: int) -> int:
        """How often a callback has been sent in vain."""
        query = "SELECT attempts FROM deliveries WHERE seq = ?"
        return int(self.db.execute(query, (seq,)).fetchone()[0])

    def attempted(self, attempts: Iterable[Attempt]) -> None:
        """Note what came of sending callbacks, in one transaction."""
        again = []
        with self._transaction() as now:
            for attempt in attempts:
                if attempt.retry_at is None:
                    self._settle(attempt, now)
                else:
                    query = "UPDATE deliveries SET attempts = attempts + 1, due_at = ? WHERE seq = ?"
                    self.db.execute(query, (attempt.retry_at, attempt.seq))
                    again.append((attempt.retry_at, attempt.seq))
        for due_at, seq in again:
            self.mail.add(due_at, seq)

    def _settle(self, attempt: Attempt, now: int) -> None:
        query = "UPDATE tasks SET callback_succeeded = ?, updated_at = ? WHERE seq = ?"
        self.db.execute(query, (attempt.succeeded, now, attempt.seq))
        self.db.execute("DELETE FROM deliveries WHERE seq = ?", (attempt.seq,))


def _seq_of(task_id: str) -> int:
    """The row that an id speaks of: its last 16 digits; 0, which is none, where it is no id of ours."""
    try:
        return int(task_id[8:], 16) % 2**63 if len(task_id) == 24 else 0
    except ValueError:
        return 0
