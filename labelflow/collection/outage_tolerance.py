"""How long the API may be gone while people are waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from labelflow.accounting.progress import Counts
from labelflow.scale.errors import TryAgain


class Patience:
    """A look that failed counts as one that found nothing, until the API was gone for too long."""

    def __init__(self, limit: timedelta, counts: Counts) -> None:
        self._limit = limit.total_seconds()
        self._counts = counts
        self._gone_at: float | None = None

    @contextmanager
    def look(self) -> Iterator[None]:
        """Look once. Raises the error that a look met where none succeeded for as long as the limit says."""
        begun_at = time.monotonic()
        try:
            yield
        except TryAgain as error:
            self._failed(error, begun_at)
        else:
            self._gone_at = self._counts.outage = None

    def _failed(self, error: TryAgain, begun_at: float) -> None:
        now = time.monotonic()
        if self._gone_at is None:
            self._gone_at = begun_at
            since = datetime.now().astimezone() - timedelta(seconds=now - begun_at)
            self._counts.outage = f"nothing from the API since {since:%H:%M:%S} ({error.message})"
        if now - self._gone_at >= self._limit:
            raise error
