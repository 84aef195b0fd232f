"""When to collect answers during a run, and whether to ask the API or only read the stored callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import CollectSection

INITIAL_DELAY = 0.2  # seconds before the first pass after submission; each further pause is twice as long
CALLBACK_POLL_INTERVAL = 2.0  # seconds between two checks for stored callbacks
FALLBACK_POLL_FACTOR = 10  # with `wait: callback`, the API is polled every 10 × `poll_interval`


class PollSchedule:
    """The collection passes of one run. With `wait: callback`, the API is polled rarely, in case a callback was lost.

    has_callbacks: returns whether callbacks are stored that can be ingested.
    resumed: whether tasks may have been answered before this run; then the first pass polls the API.
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
        """Return whether the pass that starts now polls the API."""
        if not self._is_poll_due():
            return False
        if self._waits_for_callbacks:
            self._next_poll = time.monotonic() + FALLBACK_POLL_FACTOR * self._interval
        return True

    def intervals(self) -> Iterator[float]:
        """Pause between passes until `collect.timeout`; yields the seconds waited. Raises StopRequested.

        Example:
            for _ in schedule.intervals():
                collect(poll_api=schedule.should_poll_api())
        """
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
