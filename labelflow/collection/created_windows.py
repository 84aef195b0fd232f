"""Read the listing of the 2017 API, which filters by creation time alone.

The ledger knows when the pending tasks were created: only those windows are listed. A gap of more than MIN_GAP_TASKS
finished tasks is skipped. A listing is read until it has brought as many new answers as its total has grown by.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from labelflow.collection.listing import Filters, IngestPage, Pages
from labelflow.collection.watermark import Watermark
from labelflow.ledger.ledger import Ledger
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.scale.models import PAGE_LIMIT, TaskStatus, format_time
from labelflow.tables.key_index import MISSING, Int64Array

MARGIN_MS = 1000  # around a window: the API does not say whether its ends are included
MIN_GAP_TASKS = 2 * PAGE_LIMIT  # finished tasks between two pending ones: another window costs two listings
FINISHED = (TaskStatus.COMPLETED, TaskStatus.CANCELED)


class ListByCreation:
    """Lists the windows of creation time that contain pending tasks. flush: writes the answers ingested so far.

    now: gives the server's time.
    """

    def __init__(
        self,
        ledger: Ledger,
        outcomes: OutcomeIndex,
        pages: Pages,
        ingest_page: IngestPage,
        flush: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._outcomes = outcomes
        self._pages = pages
        self._ingest_page = ingest_page
        self._flush = flush
        self._now = now

    def read(self, known: Watermark) -> Watermark:
        """Ingest what is new in each window. Returns the totals of the listings that were read completely."""
        totals: dict[str, int] = {}
        for status in FINISHED:
            for filters in pending_windows(self._ledger, self._outcomes):
                name = " ".join((status, *filters.values()))
                total = self._read_window(status, filters, known.totals.get(name))
                if total:
                    totals[name] = total
            self._flush()  # what has finished is no longer pending: the next listings are shorter
        return Watermark(totals=totals, counted_at=known.counted_at or self._now())

    def _read_window(self, status: TaskStatus, filters: Filters, known_total: int | None) -> int | None:
        """Read a listing until nothing in it can be new.

        known_total: how many tasks it had when it was last read completely.
        Returns how many it has now, None if it has to be read to its end again.
        """
        total, new, complete = None, 0, True
        for page in self._pages(status, filters):
            total = page.total if total is None else total
            result = self._ingest_page(page)
            new, complete = new + result.new, complete and result.complete
            if known_total and known_total <= total <= known_total + new:
                break
        return total if complete else None


def pending_windows(ledger: Ledger, outcomes: OutcomeIndex) -> list[Filters]:
    """The windows in which all pending tasks were created, as filters; the newest first.

    One window without filters if the server did not say when a task was created; none if nothing is pending.
    """
    created, is_pending = _creation_times(ledger, outcomes)
    if not is_pending.any():
        return []
    if (created[is_pending] == MISSING).any():
        return [{}]
    order = np.argsort(created, kind="stable")
    positions = np.flatnonzero(is_pending[order])
    times = created[order][positions]
    splits = (np.diff(positions) > MIN_GAP_TASKS) & (np.diff(times) > 2 * MARGIN_MS)
    starts, ends = times[np.r_[True, splits]], times[np.r_[splits, True]]
    return [_filters(int(start), int(end)) for start, end in zip(starts[::-1], ends[::-1], strict=True)]


def _creation_times(
    ledger: Ledger, outcomes: OutcomeIndex
) -> tuple[Int64Array, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """When each task was created, in milliseconds since 1970, and whether it is pending."""
    created, is_pending = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    for task_ids, times in ledger.created():
        created.append(times)
        is_pending.append(outcomes.pending(task_ids))
    return np.concatenate(created), np.concatenate(is_pending)


def _filters(start: int, end: int) -> Filters:
    return {"start_time": _format(start - MARGIN_MS), "end_time": _format(end + MARGIN_MS)}


def _format(milliseconds: int) -> str:
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC))
