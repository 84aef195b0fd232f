"""How long the API may be unavailable while a run waits for answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from labelflow.accounting.progress import RunProgress
from labelflow.scale.errors import TransientError


class OutageTolerance:
    """Treats a failed pass as a pass without answers, until the API has been unavailable for too long.

    limit: `collect.outage_tolerance`. counts: its `outage` describes the current outage, and is None without one.

        with tolerance.attempt():
            collect()
    """

    def __init__(self, limit: timedelta, counts: RunProgress) -> None:
        self._limit = limit.total_seconds()
        self._counts = counts
        self._down_since: float | None = None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run one pass. Re-raises its TransientError if all passes have failed for at least the limit."""
        started_at = time.monotonic()
        try:
            yield
        except TransientError as error:
            self._record_failure(error, started_at)
        else:
            self._down_since = self._counts.outage = None

    def _record_failure(self, error: TransientError, started_at: float) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = started_at
            since = datetime.now().astimezone() - timedelta(seconds=now - started_at)
            self._counts.outage = f"API unavailable since {since:%H:%M:%S} ({error.message})"
        if now - self._down_since >= self._limit:
            raise error
