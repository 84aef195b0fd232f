"""Python's garbage collector in the process of a flow."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000  # new ones, between two looks; Python's own default is 700
YOUNG_COLLECTIONS = 20  # at new objects, between two at those that stayed


def tune_garbage_collector() -> None:
    """Look for garbage seldom: what a run makes by the million, rows and answers, is in no circle and goes by itself.

    What was imported before stays: it is not looked through again.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_COLLECTIONS, YOUNG_COLLECTIONS)
