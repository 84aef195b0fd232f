"""Find out which keys of a bucket exist with few requests: one page of a listing covers up to 1,000 keys.

Listing is efficient if the requested keys are close to each other. A page with few of them is slower than one HEAD per
key, because pages are read one after another and HEAD requests run in parallel: after a few poor pages the rest is left
to the caller. Each page resolves at least one key, so this never costs more requests than one HEAD per key; in a bucket
where it was inefficient, it is tried at increasing intervals. Pages are cached: the next rows often continue the same
listing.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelflow.storage import s3_client, s3_errors

MAX_CACHED_OBJECTS = 200_000  # about 60 MB
PAGE_COST = 50  # memory of a page itself, in objects
PAGE_KEYS, PROBE_KEYS = 1000, 100  # keys of a page; of a small page that only tests whether listing is efficient
MIN_HITS_PER_PAGE, MIN_HITS_PER_PROBE = 8, 2  # requested keys on a page; with fewer, parallel HEAD requests are faster
MAX_POOR_PAGES = 3  # consecutive pages with too few hits, after which listing stops
MAX_SKIPPED_CHUNKS = 64  # maximum number of lookups without listing after that
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_CANNOT_LIST = (*s3_errors.DENIED, "NotImplemented", "MethodNotAllowed")


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """An existing object: its size in bytes, and whether it must be restored from an archive before it can be read."""

    size: int
    archived: bool

    @classmethod
    def of(cls, size: int, storage_class: str | None, restored: bool) -> ObjectStatus:
        """Build it from the fields of a response. restored: a readable copy of an archived object exists."""
        return cls(size, storage_class in _ARCHIVED and not restored)


Statuses = dict[str, ObjectStatus | None]  # by key; None: the object does not exist


@dataclass(frozen=True, slots=True)
class S3ListingPage:
    """One page of a listing: the objects with a prefix whose keys are greater than `after` and at most `last`.

    last: None if the page is the last one.
    """

    bucket: str
    prefix: str
    after: str
    last: str | None
    objects: Mapping[str, ObjectStatus]

    def find(self, keys: Sequence[str]) -> Statuses:
        """Return the status of those of the sorted keys that this page covers."""
        start = bisect_right(keys, self.after)
        stop = len(keys) if self.last is None else bisect_right(keys, self.last)
        return {key: self.objects.get(key) for key in keys[start:stop] if key.startswith(self.prefix)}


class ListingPolicy:
    """Decides whether to list a bucket: where listing was inefficient, it is skipped for exponentially more lookups."""

    def __init__(self) -> None:
        self.was_efficient = True
        self._to_skip = 0  # lookups without listing
        self._next_skip = 1

    def should_list(self) -> bool:
        """Whether to list for this lookup; call it once per lookup."""
        self._to_skip -= self._to_skip > 0
        return self._to_skip == 0

    def record(self, efficient: bool) -> None:
        """Record whether the last listing was efficient."""
        self.was_efficient = efficient
        self._next_skip = 1 if efficient else min(2 * self._next_skip, MAX_SKIPPED_CHUNKS)
        self._to_skip = 0 if efficient else self._next_skip


class ListingCache:
    """Looks up keys by listing their buckets, and caches the pages. Thread-safe.

    Example:
        statuses = ListingCache().look_up("bucket", ["a/1.jpg", "a/2.jpg"])
        statuses["a/1.jpg"]  # ObjectStatus(size=4711, archived=False); None: it does not exist
    """

    def __init__(self) -> None:
        self._backoffs: dict[str, ListingPolicy] = {}  # by bucket
        self._pages: deque[S3ListingPage] = deque()
        self._cached_objects = 0
        self._unlistable: set[tuple[str, str]] = set()  # bucket and prefix
        self._lock = threading.Lock()

    def look_up(self, bucket: str, keys: Sequence[str]) -> Statuses:
        """Return the status of those of the sorted keys for which listing is efficient; look up the others one by one.

        Raises botocore's errors; if listing is not allowed, fewer keys are returned instead.
        """
        statuses = self._find_cached(bucket, keys)
        remaining = [key for key in keys if key not in statuses]
        backoff = self._backoffs.setdefault(bucket, ListingPolicy())
        if not backoff.should_list():
            return statuses
        prefix, poor_pages = common_folder(remaining), 0
        size = PAGE_KEYS if backoff.was_efficient else PROBE_KEYS
        while len(remaining) > 1 and poor_pages < MAX_POOR_PAGES:
            page = self._list(bucket, prefix, just_before(remaining[0]), size)
            hits = page.find(remaining) if page else {}
            if not hits:
                break
            statuses |= hits
            remaining = remaining[len(hits) :]
            is_poor = len(hits) < (MIN_HITS_PER_PAGE if size == PAGE_KEYS else MIN_HITS_PER_PROBE)
            poor_pages, size = (poor_pages + 1, PROBE_KEYS) if is_poor else (0, PAGE_KEYS)
        backoff.record(poor_pages < MAX_POOR_PAGES)
        return statuses

    def _find_cached(self, bucket: str, keys: Sequence[str]) -> Statuses:
        with self._lock:
            pages = [page for page in self._pages if page.bucket == bucket]
        statuses: Statuses = {}
        for page in pages:
            statuses |= page.find(keys)
        return statuses

    def _list(self, bucket: str, prefix: str, after: str, max_keys: int) -> S3ListingPage | None:
        """Request a page; None if this prefix of the bucket cannot be listed."""
        if (bucket, prefix) in self._unlistable:
            return None
        page = _request_page(bucket, prefix, after, max_keys)
        if page is None:
            self._unlistable.add((bucket, prefix))
        else:
            self._cache(page)
        return page

    def _cache(self, page: S3ListingPage) -> None:
        with self._lock:
            self._pages.append(page)
            self._cached_objects += len(page.objects) + PAGE_COST
            while self._cached_objects > MAX_CACHED_OBJECTS:
                self._cached_objects -= len(self._pages.popleft().objects) + PAGE_COST


def _request_page(bucket: str, prefix: str, after: str, max_keys: int) -> S3ListingPage | None:
    """Request the page after a key; None if listing is denied, or does not show which keys are missing."""
    try:
        response = s3_client.client().list_objects_v2(
            Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=max_keys, OptionalObjectAttributes=["RestoreStatus"]
        )
    except s3_client.errors() as error:
        if s3_client.error_code(error) in _CANNOT_LIST:
            return None
        raise
    return _to_page(bucket, prefix, after, response)


def _to_page(bucket: str, prefix: str, after: str, response: Mapping[str, Any]) -> S3ListingPage | None:
    """Convert a response to a page; None if the store does not list keys in order."""
    objects = {item["Key"]: _object_status(item) for item in response.get("Contents", [])}
    keys = list(objects)
    has_more = bool(response.get("IsTruncated"))
    if keys != sorted(keys) or (keys and keys[0] <= after) or (has_more and not keys):
        return None
    return S3ListingPage(bucket, prefix, after, keys[-1] if has_more else None, objects)


def _object_status(item: Mapping[str, Any]) -> ObjectStatus:
    restored = "RestoreExpiryDate" in item.get("RestoreStatus", {})
    return ObjectStatus.of(item["Size"], item.get("StorageClass"), restored)


def common_folder(keys: Sequence[str]) -> str:
    """The deepest folder that contains all of the sorted keys: permission to list is often granted per folder."""
    if not keys:
        return ""
    first, last = keys[0], keys[-1]
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("/", 0, shared) + 1]


def just_before(key: str) -> str:
    """A string that sorts before the key, with few possible keys between the two."""
    stem, code = key[:-1], ord(key[-1]) - 1
    if code <= ord(" "):
        return stem
    if 0xD800 <= code <= 0xDFFF:  # surrogates do not occur in keys
        code = 0xD7FF
    return f"{stem}{chr(code)}~~~~"
