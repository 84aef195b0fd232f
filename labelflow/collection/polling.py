"""When to look at what has come back, and whom to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from labelflow.concurrency.stop_token import Stop
from labelflow.jobs.job import CompletionSection

FIRST_LOOK = 0.2  # seconds until the first look at the API; the pauses then double
CALLBACKS_EVERY = 2.0  # seconds between two looks at the callbacks
NET = 10  # so many times `every` is the pause between two looks at the API where callbacks are waited for


class Watch:
    """Looks of one run. Where callbacks are waited for, the API is asked now and then, in case one was lost.

    has_callbacks: whether some can be taken over. resumed: whether answers may have come before this run.
    """

    def __init__(
        self, completion: CompletionSection, stop: Stop, has_callbacks: Callable[[], bool], *, resumed: bool
    ) -> None:
        self._waits_for_callbacks = completion.wait == "callback"
        self._every = completion.every.total_seconds()
        self._patience = completion.give_up_after.total_seconds()
        self._stop = stop
        self._has_callbacks = has_callbacks
        self._ask_at = time.monotonic() + (NET * self._every if self._waits_for_callbacks and not resumed else 0.0)

    def asks(self) -> bool:
        """Whether the look that begins now asks the API."""
        if not self._is_time_to_ask():
            return False
        if self._waits_for_callbacks:
            self._ask_at = time.monotonic() + NET * self._every
        return True

    def pauses(self) -> Iterator[float]:
        """Pause between looks until the job's patience is over. Yields seconds waited."""
        deadline = time.monotonic() + self._patience
        return self._until_callbacks(deadline) if self._waits_for_callbacks else self._growing(deadline)

    def _growing(self, deadline: float) -> Iterator[float]:
        pause = min(FIRST_LOOK, self._every)
        while time.monotonic() < deadline:
            self._stop.pause(pause)
            yield pause
            pause = min(self._every, pause * 2)

    def _until_callbacks(self, deadline: float) -> Iterator[float]:
        pause = min(CALLBACKS_EVERY, self._every)
        while time.monotonic() < deadline:
            self._stop.pause(pause)
            if self._has_callbacks() or self._is_time_to_ask():
                yield pause
        self._ask_at = 0.0
        yield 0.0

    def _is_time_to_ask(self) -> bool:
        return time.monotonic() >= self._ask_at
