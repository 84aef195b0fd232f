"""When to look at what has come back, and whom to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import CollectSection

INITIAL_DELAY = 0.2  # seconds until the first look at the API; the pauses then double
CALLBACK_POLL_INTERVAL = 2.0  # seconds between two looks at the callbacks
FALLBACK_POLL_FACTOR = (
    10  # so many times `poll_interval` is the pause between two looks at the API where callbacks are waited for
)


class PollSchedule:
    """Looks of one run. Where callbacks are waited for, the API is asked now and then, in case one was lost.

    has_callbacks: whether some can be taken over. resumed: whether answers may have come before this run.
    """

    def __init__(
        self, settings: CollectSection, stop: StopToken, has_callbacks: Callable[[], bool], *, resumed: bool
    ) -> None:
        self._waits_for_callbacks = settings.wait == "callback"
        self._interval = settings.poll_interval.total_seconds()
        self._timeout = settings.timeout.total_seconds()
        self._stop = stop
        self._has_callbacks = has_callbacks
        self._next_poll = time.monotonic() + (
            FALLBACK_POLL_FACTOR * self._interval if self._waits_for_callbacks and not resumed else 0.0
        )

    def should_poll_api(self) -> bool:
        """Whether the look that begins now asks the API."""
        if not self._is_poll_due():
            return False
        if self._waits_for_callbacks:
            self._next_poll = time.monotonic() + FALLBACK_POLL_FACTOR * self._interval
        return True

    def intervals(self) -> Iterator[float]:
        """Pause between looks until the job's patience is over. Yields seconds waited."""
        deadline = time.monotonic() + self._timeout
        return self._until_callbacks(deadline) if self._waits_for_callbacks else self._growing(deadline)

    def _growing(self, deadline: float) -> Iterator[float]:
        pause = min(INITIAL_DELAY, self._interval)
        while time.monotonic() < deadline:
            self._stop.sleep(pause)
            yield pause
            pause = min(self._interval, pause * 2)

    def _until_callbacks(self, deadline: float) -> Iterator[float]:
        pause = min(CALLBACK_POLL_INTERVAL, self._interval)
        while time.monotonic() < deadline:
            self._stop.sleep(pause)
            if self._has_callbacks() or self._is_poll_due():
                yield pause
        self._next_poll = 0.0
        yield 0.0

    def _is_poll_due(self) -> bool:
        return time.monotonic() >= self._next_poll
