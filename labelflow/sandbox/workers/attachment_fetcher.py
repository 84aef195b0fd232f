"""Fetches attachments, and tells what they are. Source: contract A "Attachments"."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit, urlunsplit

import urllib3

from labelflow.media import Media, kind_of_bytes, kind_of_content_type, probe_file
from labelflow.sandbox.threads import AsyncThreadPool

MAX_CONCURRENT_FETCHES = 16
FETCH_TIMEOUT = 15.0  # for one attachment in all
MAX_REDIRECTS = 5
MAX_HEADER_BYTES = 64 * 1024  # bytes in which an image tells its size
MAX_BYTES = 4 * 1024 * 1024  # bytes that are read of any attachment
MAX_CACHED_MEDIA = 50_000  # attachments whose facts are remembered
FULL_READ_KINDS = ("audio", "video")


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came of fetching an attachment: an HTTP status (0: no answer at all), and what it is if that is 200."""

    url: str
    status: int
    media: Media | None = None


def without_query(url: str) -> str:
    """A URL without its query string, which may hold a signature."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


class AttachmentFetcher:
    """Looks at attachments, so many at once; what was found is remembered by URL without the query string."""

    def __init__(self) -> None:
        self._threads = AsyncThreadPool(MAX_CONCURRENT_FETCHES)
        # Once more where a kept-alive connection turns out to be closed.
        retries = urllib3.Retry(total=None, connect=0, read=1, redirect=MAX_REDIRECTS, status=0, other=0)
        self._pool = urllib3.PoolManager(maxsize=MAX_CONCURRENT_FETCHES, timeout=FETCH_TIMEOUT, retries=retries)
        self._cache: OrderedDict[str, Media] = OrderedDict()
        self._in_flight: dict[str, asyncio.Task[FetchResult]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._threads.close()
        self._pool.clear()

    def cached(self, url: str) -> FetchResult | None:
        """What is remembered of an attachment."""
        media = self._cache.get(without_query(url))
        if media is None:
            return None
        self._cache.move_to_end(without_query(url))
        return FetchResult(url, 200, media)

    async def fetch_all(self, urls: Iterable[str]) -> list[FetchResult]:
        """Look at attachments, side by side."""
        return list(await asyncio.gather(*(self._fetch_shared(url) for url in urls)))

    async def _fetch_shared(self, url: str) -> FetchResult:
        """Look once, however many tasks share the URL."""
        if url not in self._in_flight:
            task = self._in_flight[url] = asyncio.create_task(self._fetch_in_thread(url))
            task.add_done_callback(lambda _: self._in_flight.pop(url))
        return await self._in_flight[url]

    async def _fetch_in_thread(self, url: str) -> FetchResult:
        if result := self.cached(url):
            return result
        result = await self._threads.run(_fetch, self._pool, url)
        if result.media:
            self._cache[without_query(url)] = result.media
            if len(self._cache) > MAX_CACHED_MEDIA:
                self._cache.popitem(last=False)
        return result


def _fetch(pool: urllib3.PoolManager, url: str) -> FetchResult:
    try:
        with pool.request("GET", url, preload_content=False) as response:
            if response.status != 200:
                return FetchResult(url, response.status)
            return FetchResult(url, 200, _probe_response(response))
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return FetchResult(url, 0)


def _probe_response(response: urllib3.BaseHTTPResponse) -> Media:
    """Read as much of an answer as it takes to tell what it is. Raises TimeoutError where it takes too long."""
    content_type = response.headers.get("content-type")
    content = _read(response, MAX_HEADER_BYTES, bytearray())
    if len(content) < MAX_HEADER_BYTES:
        return probe_file(BytesIO(content), content_type)
    if media := _probe_prefix(content, content_type):
        return media
    if len(_read(response, MAX_BYTES, content)) < MAX_BYTES:
        return probe_file(BytesIO(content), content_type)
    return _probe_truncated(content, content_type, response.headers.get("content-length"))


def _read(response: urllib3.BaseHTTPResponse, size: int, content: bytearray) -> bytearray:
    """Read on until so much is there, or the end."""
    deadline = time.monotonic() + FETCH_TIMEOUT
    while len(content) < size and (chunk := response.read1(size - len(content))):
        content += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
    if len(content) < size:
        response.release_conn()
    return content


def _probe_prefix(content: bytearray, content_type: str | None) -> Media | None:
    """What the first bytes tell; None where more of them would tell more."""
    kind = kind_of_bytes(bytes(content[:64]))
    if kind == "unknown":
        kind = kind_of_content_type(content_type)
    if kind in FULL_READ_KINDS:
        return None
    media = probe_file(BytesIO(content), content_type)
    return None if kind == "image" and media.width is None else media


def _probe_truncated(content: bytearray, content_type: str | None, length: str | None) -> Media:
    """Measure the start of a long file as one of its true size, as formats without a length in them need it."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        if length and length.isdigit():
            file.truncate(max(int(length), len(content)))  # a hole, which takes no room
        return probe_file(file, content_type)
