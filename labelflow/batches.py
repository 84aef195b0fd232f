"""Batches that are limited by number and by size, so that large items do not fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def next_batch(items: Iterator[T], size_of: Callable[[T], int], max_items: int, max_bytes: int) -> list[T]:
    """Take the next items: until one of the limits is reached, or there are no more. One item may exceed `max_bytes`.

    Example:
        while rows := next_batch(remaining, lambda row: row.size, 1000, 16 << 20):
            process(rows)
    """
    batch: list[T] = []
    size = 0
    for item in items:
        batch.append(item)
        size += size_of(item)
        if len(batch) >= max_items or size >= max_bytes:
            break
    return batch
