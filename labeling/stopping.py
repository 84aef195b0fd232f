"""Stopping in good order: one flag that every loop and every pause looks at."""

from __future__ import annotations

import threading

from labeling.errors import Stopped


class Stop:
    """Set once, by a signal or by the flow; then checks and pauses raise Stopped."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask everything to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise Stopped where that was asked."""
        if self._event.is_set():
            raise Stopped("stopped")

    def pause(self, seconds: float) -> None:
        """Wait so many seconds. Raises Stopped at once where that is asked."""
        if self._event.wait(seconds):
            raise Stopped("stopped")
