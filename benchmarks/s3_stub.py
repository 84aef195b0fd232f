"""A server that answers HEAD and ListObjectsV2 like S3. It computes the keys and stores no objects.

    python -m benchmarks.s3_stub [--objects N] [--latency MILLISECONDS]

The bucket `shared` has N objects in one folder. The bucket `scattered` has N folders with a thousand objects in each.
moto's server would be the bottleneck: it scans all keys of a bucket for each page, and would keep the millions of keys
of the second bucket in memory. `GET /stub` returns the number of requests.
"""

from __future__ import annotations

import argparse
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from typing import overload
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from benchmarks.http_server import response, serve

PAGE = 1000  # keys
PER_FOLDER = 1000
SIZE = 123_456  # bytes of each object
LAST_CHARACTER = "\U0010ffff"  # sorts after every other one
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    f"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{SIZE}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


def shared_key(number: int) -> str:
    """The n-th key of `shared`."""
    return f"street/{number:08}.jpg"


def scattered_key(number: int) -> str:
    """The n-th key of `scattered`."""
    folder, index = divmod(number, PER_FOLDER)
    return f"{folder:08}/{index:03}.jpg"


class KeySequence(Sequence[str]):
    """A sorted sequence of keys that are computed on access."""

    def __init__(self, count: int, key: Callable[[int], str]) -> None:
        self._count = count
        self._key = key

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._key(number) for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._key(index)

    def __contains__(self, key: object) -> bool:
        index = bisect_left(self, str(key))
        return index < self._count and self._key(index) == key


class ListingStub:
    """The stub with its two buckets."""

    def __init__(self, objects: int) -> None:
        self._buckets = {
            "shared": KeySequence(objects, shared_key),
            "scattered": KeySequence(objects * PER_FOLDER, scattered_key),
        }
        self._requests: Counter[str] = Counter()

    def respond(self, method: str, target: str, body: bytes) -> bytes:
        """The response to a request."""
        url = urlsplit(target)
        if url.path == "/stub":
            return response(200, orjson.dumps({"requests": self._requests}))
        self._requests[method] += 1
        bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
        if method != "HEAD":
            return response(200, self._list(bucket, parse_qs(url.query)), "application/xml")
        exists = key in self._buckets[bucket]
        return response(200 if exists else 404, b"", "image/jpeg", SIZE if exists else 0)

    def _list(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        after = query.get("start-after", [""])[0]
        keys = self._buckets[bucket]
        start = max(bisect_left(keys, prefix), bisect_right(keys, after))
        stop = min(start + PAGE, bisect_left(keys, prefix + LAST_CHARACTER))
        is_truncated = stop < bisect_left(keys, prefix + LAST_CHARACTER)
        entries = "".join(map(ENTRY.format, keys[start:stop]))
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix>{prefix}</Prefix><MaxKeys>{PAGE}</MaxKeys>"
            f"<KeyCount>{stop - start}</KeyCount><IsTruncated>{str(is_truncated).lower()}</IsTruncated>"
            f"{entries}</ListBucketResult>"
        ).encode()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=10_000, metavar="N")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MILLISECONDS")
    options = parser.parse_args()
    serve("S3 stub", ListingStub(options.objects).respond, latency=options.latency / 1000)


if __name__ == "__main__":
    main()
