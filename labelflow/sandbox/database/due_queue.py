"""What is to be done, and when."""

from __future__ import annotations

import asyncio
import heapq
import time


def now_ms() -> int:
    """The time of day, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Agenda:
    """Numbers that fall due at a time (milliseconds since 1970). What they stand for is kept elsewhere."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._changed = asyncio.Event()

    def add(self, due_at: int, number: int) -> None:
        """Note a number for a time; one that has passed is due at once."""
        heapq.heappush(self._heap, (due_at, number))
        self._changed.set()

    async def due(self, limit: int) -> list[int]:
        """Wait until a number is due, and take all that are, up to the limit."""
        while not (taken := self._take(limit)):
            self._changed.clear()
            try:
                async with asyncio.timeout(self._seconds_to_wait()):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return taken

    def _take(self, limit: int) -> list[int]:
        now = now_ms()
        taken: list[int] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < limit:
            taken.append(heapq.heappop(self._heap)[1])
        return taken

    def _seconds_to_wait(self) -> float | None:
        return max(0.0, (self._heap[0][0] - now_ms()) / 1000) if self._heap else None
