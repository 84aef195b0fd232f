"""Read the listing of the current API: everything that was updated since the watermark."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from labelflow.collection import watermark
from labelflow.collection.listing import IngestPage, Pages
from labelflow.collection.watermark import Watermark
from labelflow.ledger.ledger import Ledger
from labelflow.scale.models import TaskStatus, format_time

FINISHED = (TaskStatus.COMPLETED, TaskStatus.CANCELED, TaskStatus.ERROR)


class ListByUpdate:
    """Completions, cancellations, errors and replaced answers. now: gives the server's time."""

    def __init__(self, ledger: Ledger, pages: Pages, ingest_page: IngestPage, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now
        self._pages = pages
        self._ingest_page = ingest_page

    def read(self, known: Watermark) -> Watermark:
        """Ingest all updates. Returns the new watermark: moved only if nothing has to be read again."""
        started_at, latest, complete = time.monotonic(), known.read_until, True
        filters = self._filters(known)
        for status in FINISHED:
            for page in self._pages(status, filters):
                complete &= self._ingest_page(page).complete
                latest = max(filter(None, (latest, watermark.newest(page.tasks, self._now()))), default=None)
        if not complete or latest is None:
            return known.model_copy()
        # A task may have been updated on a page that was already read: the watermark is when the pass started.
        reached = latest - timedelta(seconds=time.monotonic() - started_at)
        return Watermark(read_until=max(filter(None, (known.read_until, reached))))

    def _filters(self, known: Watermark) -> dict[str, str]:
        first = self._ledger.first_created()
        filters = {"start_time": format_time(first - watermark.OVERLAP)} if first else {}
        since = known.since(self._now())
        if since:
            filters["updated_after"] = format_time(since)
        return filters
