"""The task budget: how many tasks may still be created under the job's cap."""

from __future__ import annotations

import threading


class TaskBudget:
    """How many tasks may still be created under the job's cap, None where nothing limits it; shared by threads."""

    def __init__(self, tasks: int | None) -> None:
        self._remaining = tasks
        self._lock = threading.Lock()

    def take(self, tasks: int = 1) -> int | None:
        """How many of these may be created: all of them, or what is left. None where nothing limits it."""
        with self._lock:
            if self._remaining is None:
                return None
            granted = min(self._remaining, tasks)
            self._remaining -= granted
            return granted

    def give_back(self, tasks: int | None = 1) -> None:
        """Tasks that were granted were not created, and never will be."""
        with self._lock:
            if self._remaining is not None:
                self._remaining += tasks or 0

    def drain(self) -> int | None:
        """Take what is left."""
        return self.take(1 << 62)
