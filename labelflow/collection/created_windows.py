"""Where to look on a server that cannot tell what has changed (the contract of 2017): by times of creation.

Its list is filtered by `created_at` alone. What is waited for was created at times that the ledger knows: only those
stretches are listed. A stretch in which hundreds of tasks have come back, and none is waited for, is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from labelflow.ledger.ledger import Ledger
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.scale.models import PAGE_LIMIT, format_time
from labelflow.tables.key_index import MISSING, Int64Array

MARGIN_MS = 1000  # milliseconds around a window: whether its ends belong to it is not told
MIN_GAP_TASKS = 2 * PAGE_LIMIT  # tasks that have come back, between two that have not: another window costs two lists

Filters = dict[str, str]  # of a list of tasks


def pending_windows(ledger: Ledger, outcomes: OutcomeIndex) -> list[Filters]:
    """The windows in which all tasks were created that are waited for, as filters; the newest first.

    One without filters where the server did not say when a task was created; none where nothing is waited for.
    """
    created, waits = _waiting(ledger, outcomes)
    if not waits.any():
        return []
    if (created[waits] == MISSING).any():
        return [{}]
    order = np.argsort(created, kind="stable")
    places = np.flatnonzero(waits[order])
    times = created[order][places]
    splits = (np.diff(places) > MIN_GAP_TASKS) & (np.diff(times) > 2 * MARGIN_MS)
    starts, ends = times[np.r_[True, splits]], times[np.r_[splits, True]]
    return [_filters(int(start), int(end)) for start, end in zip(starts[::-1], ends[::-1], strict=True)]


def _waiting(ledger: Ledger, outcomes: OutcomeIndex) -> tuple[Int64Array, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """When each task was created, in milliseconds since 1970, and whether it has not come back."""
    created, waits = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    for task_ids, times in ledger.created():
        created.append(times)
        waits.append(outcomes.pending(task_ids))
    return np.concatenate(created), np.concatenate(waits)


def _filters(start: int, end: int) -> Filters:
    return {"start_time": _time(start - MARGIN_MS), "end_time": _time(end + MARGIN_MS)}


def _time(milliseconds: int) -> str:
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC))
