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

from labelflow.storage import s3_client, s3_errors

MAX_CACHED_OBJECTS = 200_000  # keys, some 60 MB
PAGE_COST = 50  # keys: what a page takes beside its own
PAGE_KEYS, PROBE_KEYS = 1000, 100  # in a page; in one that only tells whether listing pays
MIN_HITS_PER_PAGE, MIN_HITS_PER_PROBE = 8, 2  # wanted keys: fewer are answered sooner by asking for each, many at once
MAX_POOR_PAGES = 3  # in a row, before listing is given up
MAX_SKIPPED_CHUNKS = 64  # look-ups that are made without it then
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_CANNOT_LIST = (*s3_errors.DENIED, "NotImplemented", "MethodNotAllowed")


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """An object that exists: its size in bytes, and whether it must be restored before it can be read."""

    size: int
    archived: bool

    @classmethod
    def of(cls, size: int, storage_class: str | None, restored: bool) -> ObjectStatus:
        return cls(size, storage_class in _ARCHIVED and not restored)


Answers = dict[str, ObjectStatus | None]  # by key; None: there is no such object


@dataclass(frozen=True, slots=True)
class ListingPage:
    """What a listing says of the keys that begin with `folder`, come after `after`, and not after `last`.

    last: None where the listing came to its end.
    """

    bucket: str
    prefix: str
    after: str
    last: str | None
    objects: Mapping[str, ObjectStatus]

    def answers(self, keys: Sequence[str]) -> Answers:
        """Answers to those of the sorted keys that this page speaks of."""
        start = bisect_right(keys, self.after)
        stop = len(keys) if self.last is None else bisect_right(keys, self.last)
        return {key: self.objects.get(key) for key in keys[start:stop] if key.startswith(self.prefix)}


class ListingBackoff:
    """Whether listing has paid in a bucket of late. Where it has not, it is tried ever more seldom."""

    def __init__(self) -> None:
        self.is_good = True
        self._skipped = 0  # look-ups for which it is not tried
        self._next = 1

    def should_list(self) -> bool:
        """Whether to list this time."""
        self._skipped -= self._skipped > 0
        return self._skipped == 0

    def record(self, paid: bool) -> None:
        """What came of it."""
        self.is_good = paid
        self._next = 1 if paid else min(2 * self._next, MAX_SKIPPED_CHUNKS)
        self._skipped = 0 if paid else self._next


class ListingCache:
    """Answers keys from listings, and remembers their pages. Many threads may share one."""

    def __init__(self) -> None:
        self._backoffs: dict[str, ListingBackoff] = {}  # by bucket
        self._pages: deque[ListingPage] = deque()
        self._cached_objects = 0
        self._closed: set[tuple[str, str]] = set()  # buckets and prefixes that cannot be listed
        self._lock = threading.Lock()

    def look_up(self, bucket: str, keys: Sequence[str]) -> Answers:
        """Answers to those of the sorted keys for which listing pays; the others are to be asked for singly.

        Raises botocore's errors; where listing is not allowed, there are just fewer answers.
        """
        answers = self._find_cached(bucket, keys)
        left = [key for key in keys if key not in answers]
        earned = self._backoffs.setdefault(bucket, ListingBackoff())
        if not earned.should_list():
            return answers
        prefix, poor = _folder(left), 0
        size = PAGE_KEYS if earned.is_good else PROBE_KEYS
        while len(left) > 1 and poor < MAX_POOR_PAGES:
            page = self._list(bucket, prefix, _just_before(left[0]), size)
            found = page.answers(left) if page else {}
            if not found:
                break
            answers |= found
            left = left[len(found) :]
            is_poor = len(found) < (MIN_HITS_PER_PAGE if size == PAGE_KEYS else MIN_HITS_PER_PROBE)
            poor, size = (poor + 1, PROBE_KEYS) if is_poor else (0, PAGE_KEYS)
        earned.record(poor < MAX_POOR_PAGES)
        return answers

    def _find_cached(self, bucket: str, keys: Sequence[str]) -> Answers:
        with self._lock:
            pages = [page for page in self._pages if page.bucket == bucket]
        answers: Answers = {}
        for page in pages:
            answers |= page.answers(keys)
        return answers

    def _list(self, bucket: str, prefix: str, after: str, keys: int) -> ListingPage | None:
        """One page of a listing; None where the bucket cannot be listed so."""
        if (bucket, prefix) in self._closed:
            return None
        page = _request_page(bucket, prefix, after, keys)
        if page is None:
            self._closed.add((bucket, prefix))
        else:
            self._cache(page)
        return page

    def _cache(self, page: ListingPage) -> None:
        with self._lock:
            self._pages.append(page)
            self._cached_objects += len(page.objects) + PAGE_COST
            while self._cached_objects > MAX_CACHED_OBJECTS:
                self._cached_objects -= len(self._pages.popleft().objects) + PAGE_COST


def _request_page(bucket: str, prefix: str, after: str, keys: int) -> ListingPage | None:
    """The page after a key; None where listing is refused, or tells nothing about what is missing."""
    try:
        answer = s3_client.client().list_objects_v2(
            Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=keys, OptionalObjectAttributes=["RestoreStatus"]
        )
    except s3_client.errors() as error:
        if s3_client.error_code(error) in _CANNOT_LIST:
            return None
        raise
    return _page(bucket, prefix, after, answer)


def _page(bucket: str, prefix: str, after: str, answer: Mapping[str, Any]) -> ListingPage | None:
    """None where the store does not list in the order of keys."""
    objects = {item["Key"]: _object_status(item) for item in answer.get("Contents", [])}
    keys = list(objects)
    more = bool(answer.get("IsTruncated"))
    if keys != sorted(keys) or (keys and keys[0] <= after) or (more and not keys):
        return None
    return ListingPage(bucket, prefix, after, keys[-1] if more else None, objects)


def _object_status(item: Mapping[str, Any]) -> ObjectStatus:
    restored = "RestoreExpiryDate" in item.get("RestoreStatus", {})
    return ObjectStatus.of(item["Size"], item.get("StorageClass"), restored)


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
