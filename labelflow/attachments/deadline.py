"""A time by which something has to be done, whatever a server does."""

from __future__ import annotations

import time

from labelflow.attachments.circuit_breaker import Silent


class Deadline:
    """So many seconds from now, for all tries and pauses together."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. Raises Silent once there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            reason = f"did not answer in full within {self._seconds:g} s"
            raise Silent(reason, "run again later, or host the file elsewhere")
        return left

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the deadline."""
        time.sleep(min(seconds, self.left()))
