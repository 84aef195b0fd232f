"""Remember the hosts that do not answer, so that a million rows do not wait for each of them anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labelflow.attachments.attachment import AttachmentRejected, ProbeResult

FAILURE_THRESHOLD = 8  # attachments in a row, each tried to the end
COOLDOWN_SECONDS = 30.0  # seconds for which a host is then left alone


class HostUnreachable(AttachmentRejected):
    """The host takes no connection, or does not answer in time."""


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    latest: float
    refused: HostUnreachable


class CircuitBreaker:
    """Which hosts are silent at the moment. Many threads may share one.

    clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()

    def check(self, host: str) -> None:
        """Raises AttachmentRejected where the host did not answer lately, however often it was asked."""
        silence = self._failures.get(host)
        if silence and silence.count >= FAILURE_THRESHOLD and self._clock() < silence.latest + COOLDOWN_SECONDS:
            raise AttachmentRejected(silence.refused.reason, silence.refused.fix)

    def record(self, host: str, found: ProbeResult | AttachmentRejected) -> None:
        """What came of asking the host. Whatever it answers, it is not silent."""
        with self._lock:
            before = self._failures.pop(host, None)
            if isinstance(found, HostUnreachable):
                self._failures[host] = _Failures(before.count + 1 if before else 1, self._clock(), found)
