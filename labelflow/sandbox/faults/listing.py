"""A list of tasks that lags behind."""

from __future__ import annotations

from collections import Counter

from labelflow.sandbox.api.listing import Condition, Listing, created_until
from labelflow.sandbox.database.due_queue import now_ms
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.settings.api_version import Dialect
from labelflow.sandbox.settings.fault_kinds import LAG


class LaggingListing(Listing):
    """Leaves out the tasks of the last seconds. Counts the pages from which one was missing."""

    def __init__(self, store: Store, dialect: Dialect, seconds: float, counts: Counter[str]) -> None:
        super().__init__(store, dialect)
        self._lag = round(seconds * 1000)
        self._counts = counts

    def _shown(self, conditions: list[Condition]) -> list[Condition]:
        shown = [*conditions, created_until(now_ms() - self._lag)]
        if self._total(shown) < self._total(conditions):
            self._counts[LAG.name] += 1
        return shown
