"""How long the API may be gone while people are waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from labelflow.accounting.progress import RunProgress
from labelflow.scale.errors import TransientError


class OutageTolerance:
    """A look that failed counts as one that found nothing, until the API was gone for too long."""

    def __init__(self, limit: timedelta, counts: RunProgress) -> None:
        self._limit = limit.total_seconds()
        self._counts = counts
        self._down_since: float | None = None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Look once. Raises the error that a look met where none succeeded for as long as the limit says."""
        begun_at = time.monotonic()
        try:
            yield
        except TransientError as error:
            self._failed(error, begun_at)
        else:
            self._down_since = self._counts.outage = None

    def _failed(self, error: TransientError, begun_at: float) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = begun_at
            since = datetime.now().astimezone() - timedelta(seconds=now - begun_at)
            self._counts.outage = f"nothing from the API since {since:%H:%M:%S} ({error.message})"
        if now - self._down_since >= self._limit:
            raise error
