"""A queue ordered by due time."""

from __future__ import annotations

import asyncio
import heapq
import time


def now_ms() -> int:
    """Return the current time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class DueQueue:
    """Sequence numbers of tasks with their due times in milliseconds since 1970. For one event loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._changed = asyncio.Event()

    def add(self, due_at: int, seq: int) -> None:
        """Add a number; one with a time in the past is due at once."""
        heapq.heappush(self._heap, (due_at, seq))
        self._changed.set()

    async def pop_due(self, limit: int) -> list[int]:
        """Wait until a number is due; remove and return the due numbers, earliest first, up to the limit."""
        while not (popped := self._pop_now(limit)):
            self._changed.clear()
            try:
                async with asyncio.timeout(self._wait_seconds()):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return popped

    def _pop_now(self, limit: int) -> list[int]:
        now = now_ms()
        popped: list[int] = []
        while self._heap and self._heap[0][0] <= now and len(popped) < limit:
            popped.append(heapq.heappop(self._heap)[1])
        return popped

    def _wait_seconds(self) -> float | None:
        return max(0.0, (self._heap[0][0] - now_ms()) / 1000) if self._heap else None
