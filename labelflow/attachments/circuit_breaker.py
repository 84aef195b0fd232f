"""A circuit breaker per host: rows do not wait for a host that has failed repeatedly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labelflow.attachments.attachment import AttachmentRejected, ProbeResult

FAILURE_THRESHOLD = 8  # consecutive attachments that failed after all retries
COOLDOWN_SECONDS = 30.0  # during which no requests are sent to the host


class HostUnreachable(AttachmentRejected):
    """The host does not accept connections, or does not respond in time."""


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    latest: float
    rejection: HostUnreachable


class CircuitBreaker:
    """Counts consecutive failures of each host, and rejects attachments of a host that is unreachable. Thread-safe.

    clock: returns monotonic seconds.

    Example:
        breaker.check(host)
        breaker.record(host, probe(host))
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()

    def check(self, host: str) -> None:
        """Raise AttachmentRejected if the circuit of the host is open: its failures reached the threshold recently."""
        failures = self._failures.get(host)
        if failures and failures.count >= FAILURE_THRESHOLD and self._clock() < failures.latest + COOLDOWN_SECONDS:
            raise AttachmentRejected(failures.rejection.reason, failures.rejection.fix)

    def record(self, host: str, result: ProbeResult | AttachmentRejected) -> None:
        """Record the result of a probe. Any response of the host, even an error, closes its circuit."""
        with self._lock:
            previous = self._failures.pop(host, None)
            if isinstance(result, HostUnreachable):
                self._failures[host] = _Failures(previous.count + 1 if previous else 1, self._clock(), result)
