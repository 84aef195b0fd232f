"""Faults of listings: a lag."""

from __future__ import annotations

from collections import Counter

from labelflow.sandbox.api.listing import Condition, Listing, created_until
from labelflow.sandbox.database.due_queue import now_ms
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.settings.api_version import ApiVersion
from labelflow.sandbox.settings.fault_kinds import LAG


class LaggingListing(Listing):
    """Omits the tasks of the last seconds. Counts the pages with omitted tasks."""

    def __init__(self, store: Store, api_version: ApiVersion, lag_seconds: float, counts: Counter[str]) -> None:
        super().__init__(store, api_version)
        self._lag_milliseconds = round(lag_seconds * 1000)
        self._counts = counts

    def _visible_conditions(self, conditions: list[Condition]) -> list[Condition]:
        visible = [*conditions, created_until(now_ms() - self._lag_milliseconds)]
        if self._total(visible) < self._total(conditions):
            self._counts[LAG.name] += 1
        return visible
