"""Recalls of completed tasks, which are pending again. They are stored with the tasks and survive a restart."""

from __future__ import annotations

from collections import Counter

from labelflow.sandbox.database.due_queue import DueQueue, now_ms
from labelflow.sandbox.database.records import TaskRow
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.settings.fault_kinds import RECALL
from labelflow.scale.models import TaskStatus

BATCH_SIZE = 100
MIN_DELAY_MILLISECONDS = 50  # between completion and recall
RECHECK_MILLISECONDS = 500  # for a task that is not ready for its recall

SCHEMA = """
CREATE TABLE IF NOT EXISTS recalls (
    seq INTEGER PRIMARY KEY REFERENCES tasks (seq),
    due_at INTEGER NOT NULL,
    delay INTEGER NOT NULL,
    was_recalled INTEGER NOT NULL
)
"""


class Recalls:
    """The scheduled and past recalls. Delays are in milliseconds."""

    def __init__(self, store: Store, counts: Counter[str]) -> None:
        self._store = store
        self._counts = counts
        self._due_queue = DueQueue()
        store.db.execute(SCHEMA)
        for due_at, seq in store.db.execute("SELECT due_at, seq FROM recalls WHERE NOT was_recalled"):
            self._due_queue.add(due_at, seq)

    def schedule(self, seq: int, seconds: float) -> None:
        """Schedule the recall of a task that completes now, after a number of seconds."""
        delay = max(MIN_DELAY_MILLISECONDS, round(seconds * 1000))
        due_at = now_ms() + delay
        self._store.db.execute("INSERT OR REPLACE INTO recalls VALUES (?, ?, ?, FALSE)", (seq, due_at, delay))
        self._due_queue.add(due_at, seq)

    def was_recalled(self, seq: int) -> bool:
        """Return whether a task has been recalled."""
        flag = self._store.db.execute("SELECT was_recalled FROM recalls WHERE seq = ?", (seq,)).fetchone()
        return bool(flag and flag[0])

    async def run(self) -> None:
        """Recall due tasks until canceled."""
        while True:
            for seq in await self._due_queue.pop_due(BATCH_SIZE):
                self._recall_if_ready(seq)

    def _recall_if_ready(self, seq: int) -> None:
        (row,) = self._store.rows([seq])
        if row.status == TaskStatus.CANCELED or self.was_recalled(seq):
            return
        # The callback of the first answer is sent before there is a second answer.
        if row.is_pending or row.callback_succeeded is None:
            self._due_queue.add(now_ms() + RECHECK_MILLISECONDS, seq)
        else:
            self._recall(row)

    def _recall(self, row: TaskRow) -> None:
        (delay,) = self._store.db.execute("SELECT delay FROM recalls WHERE seq = ?", (row.seq,)).fetchone()
        changes = dict.fromkeys(("completed_at", "callback_succeeded", "response"))
        due_at = now_ms() + delay
        self._store.update(row, status=TaskStatus.PENDING, due_at=due_at, **changes)
        self._store.db.execute("UPDATE recalls SET was_recalled = TRUE WHERE seq = ?", (row.seq,))
        self._store.task_queue.add(due_at, row.seq)
        self._counts[RECALL.name] += 1
