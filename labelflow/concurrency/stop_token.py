"""Stopping in good order: one flag that every loop and every pause looks at."""

from __future__ import annotations

import threading
import time

from labelflow.errors import Cancelled

GRACE_SECONDS = 15.0  # for the answers to what is under way when everything is stopped


class StopToken:
    """Set once: by a signal, by the flow, or by the first failure. Then checks and pauses raise why."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason: Exception = Cancelled("stopped")
        self._grace_ends = float("inf")
        self._lock = threading.Lock()

    def set(self, reason: Exception | None = None) -> None:
        """Ask everything to stop; reason: what checks and pauses then raise, Cancelled where none is given."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason or self._reason
            self._grace_ends = time.monotonic() + GRACE_SECONDS
            self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether everything was asked to stop."""
        return self._event.is_set()

    @property
    def reason(self) -> Exception:
        """What checks raise once it is set."""
        return self._reason

    @property
    def grace_expired(self) -> bool:
        """Whether what was under way at the stop has had its time."""
        return time.monotonic() >= self._grace_ends

    def check(self) -> None:
        """Raise where everything was asked to stop."""
        if self._event.is_set():
            raise self._reason

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds. Raises at once where everything is asked to stop."""
        if self._event.wait(seconds):
            raise self._reason
