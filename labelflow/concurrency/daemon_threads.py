"""A pool of daemon threads for requests: a request that hangs delays neither a stop nor the exit of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from labelflow.concurrency.stop_token import StopToken

T = TypeVar("T")

STOP_CHECK_INTERVAL = 0.5  # seconds between two checks of the stop token


class DaemonThreadPool:
    """Runs calls in a fixed number of daemon threads, in the order of submission.

    size: number of threads. name: prefix of their names.

    Example:
        pool = DaemonThreadPool(8, "create")
        futures = [pool.submit(send, request) for request in requests]
        error = gather(futures, stop)
        pool.close()
    """

    def __init__(self, size: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True) for index in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[..., T], *arguments: Any) -> Future[T]:
        """Queue a call; the future gets its result or its error."""
        future: Future[T] = Future()
        self._calls.put((future, lambda: call(*arguments)))
        return future

    def close(self) -> None:
        """Cancel the calls that have not started, and end each thread once its current call returns. Does not wait."""
        while True:
            try:
                queued = self._calls.get_nowait()
            except Empty:
                break
            if queued:
                queued[0].cancel()
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (queued := self._calls.get()) is not None:
            future, call = queued
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)


def gather(futures: Sequence[Future[None]], stop: StopToken) -> BaseException | None:
    """Wait for all calls, and return the first error, None if there is none.

    After a stop, calls get the grace period of the token; if some are still running then, they are abandoned and the
    reason of the stop counts as their error.
    """
    in_flight = set(futures)
    while in_flight and not stop.grace_expired:
        in_flight = wait(in_flight, timeout=STOP_CHECK_INTERVAL).not_done
    errors = [error for future in futures if future not in in_flight and (error := future.exception())]
    if in_flight:
        errors.append(stop.reason)
    return next(iter(errors), None)
