"""The garbage collector's settings for a run."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000  # allocations that start a collection of the youngest generation; Python's default is 700
OLDER_COLLECTIONS = 20  # collections of a generation before the next older one is collected


def tune_garbage_collector() -> None:
    """Make the garbage collector run rarely, and exclude the modules imported so far from its scans.

    Rows and answers, which a run creates by the million, form no reference cycles: reference counting frees them.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, OLDER_COLLECTIONS, OLDER_COLLECTIONS)
