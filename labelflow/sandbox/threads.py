"""Threads for exchanges with other servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class AsyncThreadPool:
    """So many threads that work for an event loop; one that still waits for a slow server holds up no exit.

    (The standard library's pool would be waited for at the end of the process.)
    """

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._count = count
        for _ in range(count):
            threading.Thread(target=self._run_jobs, daemon=True).start()

    def close(self) -> None:
        """Let each thread end once it is through with what it does."""
        for _ in range(self._count):
            self._jobs.put(None)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in one of the threads, and wait for what it returns or raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def resolve(result: T | None, error: Exception | None) -> None:
            if future.done():  # nobody waits for it any more
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def job() -> None:
            try:
                outcome: tuple[T | None, Exception | None] = (function(*arguments), None)
            except Exception as error:  # whatever it is, it is the caller's
                outcome = (None, error)
            if not loop.is_closed():
                loop.call_soon_threadsafe(resolve, *outcome)

        self._jobs.put(job)
        return await future

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
