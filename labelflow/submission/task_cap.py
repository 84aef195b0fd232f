"""The cap on tasks: how many may still be created under `max_tasks` and `max_cost`."""

from __future__ import annotations

import threading


class TaskCap:
    """The number of tasks that may still be created; None for no limit. Thread-safe.

    >>> cap = TaskCap(3)
    >>> cap.take(2), cap.take(2)
    (2, 1)
    >>> cap.give_back()
    >>> cap.drain()
    1
    """

    def __init__(self, tasks: int | None) -> None:
        self._remaining = tasks
        self._lock = threading.Lock()

    def take(self, tasks: int = 1) -> int | None:
        """Reserve up to `tasks` tasks. Returns how many were granted; None for no limit."""
        with self._lock:
            if self._remaining is None:
                return None
            granted = min(self._remaining, tasks)
            self._remaining -= granted
            return granted

    def give_back(self, tasks: int | None = 1) -> None:
        """Return granted tasks that were not created and will not be."""
        with self._lock:
            if self._remaining is not None:
                self._remaining += tasks or 0

    def drain(self) -> int | None:
        """Reserve all remaining tasks. Returns how many; None for no limit."""
        return self.take(1 << 62)
