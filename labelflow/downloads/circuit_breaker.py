"""A circuit breaker per host: nothing waits for a host that has failed repeatedly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labelflow.downloads.failures import DownloadFailed, HostUnreachable

FAILURE_THRESHOLD = 8  # consecutive files that failed after all retries
COOLDOWN_SECONDS = 30.0  # during which no requests are sent to the host


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    latest: float
    failure: HostUnreachable


class CircuitBreaker:
    """Counts consecutive failures of each host, and refuses requests to a host that is unreachable. Thread-safe.

    clock: returns monotonic seconds.

    Example:
        breaker.check(host)
        breaker.record(host, failure)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()

    def check(self, host: str) -> None:
        """Raise DownloadFailed if the circuit of the host is open: its failures reached the threshold recently."""
        failures = self._failures.get(host)
        if failures and failures.count >= FAILURE_THRESHOLD and self._clock() < failures.latest + COOLDOWN_SECONDS:
            raise DownloadFailed(failures.failure.reason, failures.failure.fix)

    def record(self, host: str, failure: DownloadFailed | None) -> None:
        """Record how a request ended. Any response of the host, even an error, closes its circuit."""
        with self._lock:
            previous = self._failures.pop(host, None)
            if isinstance(failure, HostUnreachable):
                self._failures[host] = _Failures(previous.count + 1 if previous else 1, self._clock(), failure)
