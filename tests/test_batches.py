"""Batches that are limited by number and by size."""

from __future__ import annotations

from labelflow.batches import next_batch


def test_items_are_taken_until_a_limit_is_reached() -> None:
    items = iter(["x" * 5] * 10)
    limits = [(3, 100), (10, 11), (10, 1), (10, 100), (10, 100)]
    assert [len(next_batch(items, len, max_items, size)) for max_items, size in limits] == [3, 3, 1, 3, 0]
