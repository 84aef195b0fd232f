"""How fast to send: a rate for many threads, halved when the server says 429, and raised again slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RECOVERY_SECONDS = 10.0  # from half the rate back to all of it
MIN_RATE = 0.5  # requests a second, however often the server says 429
ASSUMED_RATE = 100.0  # requests a second taken as the rate at the first 429, where none was set


class RateLimiter:
    """Spaces the requests of all threads that share it.

    rate: requests a second; None sends as fast as connections allow, until a 429 says otherwise.
    """

    def __init__(self, rate: float | None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._max_rate = rate
        self._rate = rate
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_at = 0.0
        self._backed_off_at = 0.0
        self._raised_at = 0.0

    def wait(self) -> None:
        """Return when the next request may leave."""
        with self._lock:
            now = time.monotonic()
            self._recover(now)
            start = max(now, self._next_at)
            self._next_at = start + (1.0 / self._rate if self._rate else 0.0)
        if start > now:
            self._sleep(start - now)

    def set_rate(self, rate: float | None) -> None:
        """From now on so many requests a second at most."""
        with self._lock:
            if rate != self._max_rate:
                self._max_rate = self._rate = rate

    def back_off(self, retry_after: float | None) -> None:
        """The server said 429: hold everything for as long as it asked, then go on at half the rate."""
        with self._lock:
            now = time.monotonic()
            self._next_at = max(self._next_at, now + (retry_after or 0.0))
            if now - self._backed_off_at < 1.0:  # many threads hear of the same overload
                return
            self._recover(now)
            self._backed_off_at = self._raised_at = now
            self._rate = max(min(MIN_RATE, self._full_rate), (self._rate or self._full_rate) / 2)

    @property
    def _full_rate(self) -> float:
        return self._max_rate or ASSUMED_RATE

    def _recover(self, now: float) -> None:
        """Raise the rate by as much each second: a 429 now and then must not bring it to a standstill."""
        if self._rate is None or self._rate == self._max_rate:
            return
        raised = self._rate + (now - self._raised_at) * self._full_rate / 2 / RECOVERY_SECONDS
        self._raised_at = now
        self._rate = self._max_rate if raised >= self._full_rate else raised
