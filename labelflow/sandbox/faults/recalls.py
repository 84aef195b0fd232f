"""Recalls: completed tasks that are pending again. They outlive a restart as the tasks do."""

from __future__ import annotations

from collections import Counter

from labelflow.sandbox.database.due_queue import DueQueue, now_ms
from labelflow.sandbox.database.records import TaskRow
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.settings.fault_kinds import RECALL
from labelflow.scale.models import TaskStatus

BATCH_SIZE = 100
MIN_DELAY_MILLISECONDS = 50  # milliseconds before a recall
RECHECK_MILLISECONDS = 500  # milliseconds, at a task that is not ready for it

SCHEMA = """
CREATE TABLE IF NOT EXISTS recalls (
    seq INTEGER PRIMARY KEY REFERENCES tasks (seq),
    due_at INTEGER NOT NULL,
    pause INTEGER NOT NULL,
    has_been INTEGER NOT NULL
)
"""


class Recalls:
    """Which completed tasks are to be recalled, when, and which have been. Pauses are in milliseconds."""

    def __init__(self, store: Store, counts: Counter[str]) -> None:
        self._store = store
        self._counts = counts
        self._due_queue = DueQueue()
        store.db.execute(SCHEMA)
        for due_at, seq in store.db.execute("SELECT due_at, seq FROM recalls WHERE NOT has_been"):
            self._due_queue.add(due_at, seq)

    def schedule(self, seq: int, seconds: float) -> None:
        """Note that a task is to be recalled so long after its completion, which is now."""
        delay = max(MIN_DELAY_MILLISECONDS, round(seconds * 1000))
        due_at = now_ms() + delay
        self._store.db.execute("INSERT OR REPLACE INTO recalls VALUES (?, ?, ?, FALSE)", (seq, due_at, delay))
        self._due_queue.add(due_at, seq)

    def was_recalled(self, seq: int) -> bool:
        """Whether a task has been recalled."""
        flag = self._store.db.execute("SELECT has_been FROM recalls WHERE seq = ?", (seq,)).fetchone()
        return bool(flag and flag[0])

    async def run(self) -> None:
        """Recall what falls due, until told to stop."""
        while True:
            for seq in await self._due_queue.pop_due(BATCH_SIZE):
                self._recall_if_ready(seq)

    def _recall_if_ready(self, seq: int) -> None:
        (row,) = self._store.rows([seq])
        if row.status == TaskStatus.CANCELED or self.was_recalled(seq):
            return
        # Its first answer is to be told by a callback before there is a second one.
        if row.is_pending or row.callback_succeeded is None:
            self._due_queue.add(now_ms() + RECHECK_MILLISECONDS, seq)
        else:
            self._recall(row)

    def _recall(self, row: TaskRow) -> None:
        (delay,) = self._store.db.execute("SELECT pause FROM recalls WHERE seq = ?", (row.seq,)).fetchone()
        changes = dict.fromkeys(("completed_at", "callback_succeeded", "response"))
        due_at = now_ms() + delay
        self._store.update(row, status=TaskStatus.PENDING, due_at=due_at, **changes)
        self._store.db.execute("UPDATE recalls SET has_been = TRUE WHERE seq = ?", (row.seq,))
        self._store.task_queue.add(due_at, row.seq)
        self._counts[RECALL.name] += 1
