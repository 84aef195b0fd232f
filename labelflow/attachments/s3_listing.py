"""Find out which keys of a bucket exist with few requests: a listing answers a thousand at once.

Listing pays where the wanted keys lie close together. A page that answers few of them is hardly better than
asking for each, for pages come one after another and questions many at once: so after a few poor pages the
rest is left to the caller. Each page answers one key at least, so that this never costs more requests than
a question for each key; and it is tried ever more seldom where it did not pay. Pages are remembered: the next rows
often continue the same listing.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelflow.storage import s3

REMEMBERED = 200_000  # keys, some 60 MB
PAGE_COST = 50  # keys: what a page takes beside its own
PAGE_KEYS, PROBE_KEYS = 1000, 100  # in a page; in one that only tells whether listing pays
LEAST_PER_PAGE, LEAST_PER_PROBE = 8, 2  # wanted keys: fewer are answered sooner by asking for each, many at once
POOR_PAGES = 3  # in a row, before listing is given up
LONGEST_REST = 64  # look-ups that are made without it then
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_CANNOT_LIST = (*s3.DENIED, "NotImplemented", "MethodNotAllowed")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that exists: its size in bytes, and whether it must be restored before it can be read."""

    size: int
    archived: bool

    @classmethod
    def of(cls, size: int, storage_class: str | None, restored: bool) -> Stored:
        return cls(size, storage_class in _ARCHIVED and not restored)


Answers = dict[str, Stored | None]  # by key; None: there is no such object


@dataclass(frozen=True, slots=True)
class Page:
    """What a listing says of the keys that begin with `prefix`, come after `after`, and not after `last`.

    last: None where the listing came to its end.
    """

    bucket: str
    prefix: str
    after: str
    last: str | None
    objects: Mapping[str, Stored]

    def answers(self, keys: Sequence[str]) -> Answers:
        """Answers to those of the sorted keys that this page speaks of."""
        start = bisect_right(keys, self.after)
        stop = len(keys) if self.last is None else bisect_right(keys, self.last)
        return {key: self.objects.get(key) for key in keys[start:stop] if key.startswith(self.prefix)}


class Yield:
    """Whether listing has paid in a bucket of late. Where it has not, it is tried ever more seldom."""

    def __init__(self) -> None:
        self.is_good = True
        self._left_out = 0  # look-ups for which it is not tried
        self._next = 1

    def is_worth_a_try(self) -> bool:
        """Whether to list this time."""
        self._left_out -= self._left_out > 0
        return self._left_out == 0

    def note(self, paid: bool) -> None:
        """What came of it."""
        self.is_good = paid
        self._next = 1 if paid else min(2 * self._next, LONGEST_REST)
        self._left_out = 0 if paid else self._next


class Listings:
    """Answers keys from listings, and remembers their pages. Many threads may share one."""

    def __init__(self) -> None:
        self._yields: dict[str, Yield] = {}  # by bucket
        self._pages: deque[Page] = deque()
        self._remembered = 0
        self._closed: set[tuple[str, str]] = set()  # buckets and prefixes that cannot be listed
        self._lock = threading.Lock()

    def look_up(self, bucket: str, keys: Sequence[str]) -> Answers:
        """Answers to those of the sorted keys for which listing pays; the others are to be asked for singly.

        Raises botocore's errors; where listing is not allowed, there are just fewer answers.
        """
        answers = self._recall(bucket, keys)
        left = [key for key in keys if key not in answers]
        earned = self._yields.setdefault(bucket, Yield())
        if not earned.is_worth_a_try():
            return answers
        prefix, poor = _folder(left), 0
        size = PAGE_KEYS if earned.is_good else PROBE_KEYS
        while len(left) > 1 and poor < POOR_PAGES:
            page = self._list(bucket, prefix, _just_before(left[0]), size)
            found = page.answers(left) if page else {}
            if not found:
                break
            answers |= found
            left = left[len(found) :]
            is_poor = len(found) < (LEAST_PER_PAGE if size == PAGE_KEYS else LEAST_PER_PROBE)
            poor, size = (poor + 1, PROBE_KEYS) if is_poor else (0, PAGE_KEYS)
        earned.note(poor < POOR_PAGES)
        return answers

    def _recall(self, bucket: str, keys: Sequence[str]) -> Answers:
        with self._lock:
            pages = [page for page in self._pages if page.bucket == bucket]
        answers: Answers = {}
        for page in pages:
            answers |= page.answers(keys)
        return answers

    def _list(self, bucket: str, prefix: str, after: str, keys: int) -> Page | None:
        """One page of a listing; None where the bucket cannot be listed so."""
        if (bucket, prefix) in self._closed:
            return None
        page = _ask(bucket, prefix, after, keys)
        if page is None:
            self._closed.add((bucket, prefix))
        else:
            self._remember(page)
        return page

    def _remember(self, page: Page) -> None:
        with self._lock:
            self._pages.append(page)
            self._remembered += len(page.objects) + PAGE_COST
            while self._remembered > REMEMBERED:
                self._remembered -= len(self._pages.popleft().objects) + PAGE_COST


def _ask(bucket: str, prefix: str, after: str, keys: int) -> Page | None:
    """The page after a key; None where listing is refused, or tells nothing about what is missing."""
    try:
        answer = s3.client().list_objects_v2(
            Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=keys, OptionalObjectAttributes=["RestoreStatus"]
        )
    except s3.errors() as error:
        if s3.error_code(error) in _CANNOT_LIST:
            return None
        raise
    return _page(bucket, prefix, after, answer)


def _page(bucket: str, prefix: str, after: str, answer: Mapping[str, Any]) -> Page | None:
    """None where the store does not list in the order of keys."""
    objects = {item["Key"]: _stored(item) for item in answer.get("Contents", [])}
    keys = list(objects)
    more = bool(answer.get("IsTruncated"))
    if keys != sorted(keys) or (keys and keys[0] <= after) or (more and not keys):
        return None
    return Page(bucket, prefix, after, keys[-1] if more else None, objects)


def _stored(item: Mapping[str, Any]) -> Stored:
    restored = "RestoreExpiryDate" in item.get("RestoreStatus", {})
    return Stored.of(item["Size"], item.get("StorageClass"), restored)


def _folder(keys: Sequence[str]) -> str:
    """The longest folder that holds all of the sorted keys: rights to list are often given by folder."""
    if not keys:
        return ""
    first, last = keys[0], keys[-1]
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("/", 0, shared) + 1]


def _just_before(key: str) -> str:
    """A key that comes before this one, with hardly any between the two."""
    stem, code = key[:-1], ord(key[-1]) - 1
    if code <= ord(" "):
        return stem
    if 0xD800 <= code <= 0xDFFF:  # surrogates, which no key can hold
        code = 0xD7FF
    return f"{stem}{chr(code)}~~~~"
