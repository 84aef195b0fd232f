"""Rate limit for requests of many threads: halved at a 429, then raised again gradually."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RECOVERY_SECONDS = 10.0  # to raise the rate from half to full
MIN_RATE = 0.5  # requests per second, however many 429s there are
ASSUMED_RATE = 100.0  # requests per second assumed at the first 429 if no rate is set


class RateLimiter:
    """Spaces the requests of all threads that share it. Thread-safe.

    rate: requests per second; None does not limit them until the first 429.
    sleep: waits; may raise to abort the wait.

        limiter = RateLimiter(50)
        limiter.wait()  # before each request
        limiter.back_off(retry_after=2.0)  # after a 429
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
        """Return when the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            self._recover(now)
            start = max(now, self._next_at)
            self._next_at = start + (1.0 / self._rate if self._rate else 0.0)
        if start > now:
            self._sleep(start - now)

    def set_rate(self, rate: float | None) -> None:
        """Set the maximum rate in requests per second; None removes the limit."""
        with self._lock:
            if rate != self._max_rate:
                self._max_rate = self._rate = rate

    def back_off(self, retry_after: float | None) -> None:
        """React to a 429: pause all requests for `retry_after` seconds, then continue at half the rate."""
        with self._lock:
            now = time.monotonic()
            self._next_at = max(self._next_at, now + (retry_after or 0.0))
            if now - self._backed_off_at < 1.0:  # one overload causes 429s in many threads
                return
            self._recover(now)
            self._backed_off_at = self._raised_at = now
            self._rate = max(min(MIN_RATE, self._full_rate), (self._rate or self._full_rate) / 2)

    @property
    def _full_rate(self) -> float:
        return self._max_rate or ASSUMED_RATE

    def _recover(self, now: float) -> None:
        """Raise the rate linearly, so that occasional 429s do not stop the requests."""
        if self._rate is None or self._rate == self._max_rate:
            return
        raised = self._rate + (now - self._raised_at) * self._full_rate / 2 / RECOVERY_SECONDS
        self._raised_at = now
        self._rate = self._max_rate if raised >= self._full_rate else raised
