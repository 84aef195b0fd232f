"""A time limit for all attempts to fetch one file."""

from __future__ import annotations

import time

from labelflow.downloads.failures import RETRY_LATER, HostUnreachable


class Deadline:
    """A time limit that starts now, for all attempts and pauses together.

    Example:
        deadline = Deadline(20)
        response = get(url, timeout=deadline.remaining())
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the remaining seconds, more than 0. Raises HostUnreachable once the limit is reached."""
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            reason = f"did not respond completely within {self._seconds:g} s"
            raise HostUnreachable(reason, RETRY_LATER)
        return remaining

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline. Raises HostUnreachable if it is already reached."""
        time.sleep(min(seconds, self.remaining()))
