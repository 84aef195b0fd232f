"""How fast to send: a rate for many threads, halved when the server says 429, and raised again slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RECOVERY_SECONDS = 10.0  # from half the rate back to all of it
LEAST_RATE = 0.5  # requests a second, however often the server says 429
UNLIMITED_START = 100.0  # requests a second taken as the rate at the first 429, where none was set


class Pace:
    """Spaces the requests of all threads that share it.

    rate: requests a second; None sends as fast as connections allow, until a 429 says otherwise.
    """

    def __init__(self, rate: float | None, pause: Callable[[float], None] = time.sleep) -> None:
        self._limit = rate
        self._rate = rate
        self._pause = pause
        self._lock = threading.Lock()
        self._next = 0.0
        self._slowed_at = 0.0
        self._raised_at = 0.0

    def wait(self) -> None:
        """Return when the next request may leave."""
        with self._lock:
            now = time.monotonic()
            self._recover(now)
            start = max(now, self._next)
            self._next = start + (1.0 / self._rate if self._rate else 0.0)
        if start > now:
            self._pause(start - now)

    def limit(self, rate: float | None) -> None:
        """From now on so many requests a second at most."""
        with self._lock:
            if rate != self._limit:
                self._limit = self._rate = rate

    def slow_down(self, retry_after: float | None) -> None:
        """The server said 429: hold everything for as long as it asked, then go on at half the rate."""
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now + (retry_after or 0.0))
            if now - self._slowed_at < 1.0:  # many threads hear of the same overload
                return
            self._recover(now)
            self._slowed_at = self._raised_at = now
            self._rate = max(min(LEAST_RATE, self._full), (self._rate or self._full) / 2)

    @property
    def _full(self) -> float:
        return self._limit or UNLIMITED_START

    def _recover(self, now: float) -> None:
        """Raise the rate by as much each second: a 429 now and then must not bring it to a standstill."""
        if self._rate is None or self._rate == self._limit:
            return
        raised = self._rate + (now - self._raised_at) * self._full / 2 / RECOVERY_SECONDS
        self._raised_at = now
        self._rate = self._limit if raised >= self._full else raised
