"""A graceful stop: one token that every loop and every sleep checks."""

from __future__ import annotations

import threading
import time

from labelflow.errors import StopRequested

GRACE_SECONDS = 15.0  # for in-flight requests to finish after a stop


class StopToken:
    """A flag that is set once: by a signal, by the flow, or by the first error. Thread-safe.

    Once it is set, `check` and `sleep` raise the reason.

    Example:
        stop = StopToken()
        stop.sleep(5)  # returns after 5 seconds, or raises once another thread calls stop.set()
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason: Exception = StopRequested("stopped")
        self._grace_ends = float("inf")
        self._lock = threading.Lock()

    def set(self, reason: Exception | None = None) -> None:
        """Request a stop. reason: what `check` and `sleep` raise, by default StopRequested. Later calls do nothing."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason or self._reason
            self._grace_ends = time.monotonic() + GRACE_SECONDS
            self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    @property
    def reason(self) -> Exception:
        """The exception that `check` and `sleep` raise once the token is set."""
        return self._reason

    @property
    def grace_expired(self) -> bool:
        """Whether a stop was requested and the grace period for in-flight requests is over."""
        return time.monotonic() >= self._grace_ends

    def check(self) -> None:
        """Raise the reason if a stop was requested."""
        if self._event.is_set():
            raise self._reason

    def sleep(self, seconds: float) -> None:
        """Sleep for some seconds. Raises the reason as soon as a stop is requested."""
        if self._event.wait(seconds):
            raise self._reason
