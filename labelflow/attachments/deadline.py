"""A time by which something has to be done, whatever a server does."""

from __future__ import annotations

import time

from labelflow.attachments.circuit_breaker import HostUnreachable


class Deadline:
    """So many seconds from now, for all tries and pauses together."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left. Raises HostUnreachable once there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            reason = f"did not answer in full within {self._seconds:g} s"
            raise HostUnreachable(reason, "run again later, or host the file elsewhere")
        return left

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the deadline."""
        time.sleep(min(seconds, self.remaining()))
