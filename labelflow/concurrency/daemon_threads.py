"""Threads for requests: one that hangs keeps neither a stop waiting for long nor the process alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from labelflow.concurrency.stop_token import StopToken

T = TypeVar("T")

STOP_CHECK_INTERVAL = 0.5  # seconds between two looks at whether everything was stopped


class DaemonThreadPool:
    """Makes calls in so many threads, in the order in which they were asked for."""

    def __init__(self, number: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True) for index in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[..., T], *arguments: Any) -> Future[T]:
        """Call a function in one of the threads; the future gets its result or its exception."""
        future: Future[T] = Future()
        self._calls.put((future, lambda: call(*arguments)))
        return future

    def close(self) -> None:
        """Drop the calls that have not begun, and end the threads, those that hang later."""
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                break
            if call:
                call[0].cancel()
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, make = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)


def gather(futures: Sequence[Future[None]], stop: StopToken) -> BaseException | None:
    """Wait for all calls; gives the first failure. After a stop, calls that hang are left."""
    flying = set(futures)
    while flying and not stop.grace_expired:
        flying = wait(flying, timeout=STOP_CHECK_INTERVAL).not_done
    failures = [error for future in futures if future not in flying and (error := future.exception())]
    if flying:
        failures.append(stop.reason)
    return next(iter(failures), None)
