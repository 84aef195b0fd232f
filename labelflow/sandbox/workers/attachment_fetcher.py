"""Fetches attachments and determines their kind and size. Source: 2017 API, "Attachments"."""

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

from labelflow.concurrency.daemon_threads import DaemonThreadPool
from labelflow.media import Media, identify, kind_of_content_type, probe_file

MAX_CONCURRENT_FETCHES = 16
FETCH_TIMEOUT = 15.0  # seconds for one attachment
MAX_REDIRECTS = 5
MAX_HEADER_BYTES = 64 * 1024  # read of each attachment; enough for the size of most images
MAX_BYTES = 4 * 1024 * 1024  # read of an attachment if its header is not enough
MAX_CACHED_MEDIA = 50_000  # cached results


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The result of a download. status: the HTTP status, 0 without a response. media: None unless it is 200."""

    url: str
    status: int
    media: Media | None = None


def without_query(url: str) -> str:
    """Return a URL without its query string, which may contain a signature."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


class AttachmentFetcher:
    """Fetches attachments concurrently. Caches results by URL without the query string."""

    def __init__(self) -> None:
        self._threads = DaemonThreadPool(MAX_CONCURRENT_FETCHES, "fetch")
        # One retry, for a kept-alive connection that the server has closed.
        retries = urllib3.Retry(total=None, connect=0, read=1, redirect=MAX_REDIRECTS, status=0, other=0)
        self._pool = urllib3.PoolManager(maxsize=MAX_CONCURRENT_FETCHES, timeout=FETCH_TIMEOUT, retries=retries)
        self._cache: OrderedDict[str, Media] = OrderedDict()
        self._in_flight: dict[str, asyncio.Task[FetchResult]] = {}

    def close(self) -> None:
        """End the threads and close the connections."""
        self._threads.close()
        self._pool.clear()

    def cached(self, url: str) -> FetchResult | None:
        """Return the cached result of a URL, None if there is none."""
        media = self._cache.get(without_query(url))
        if media is None:
            return None
        self._cache.move_to_end(without_query(url))
        return FetchResult(url, 200, media)

    async def fetch_all(self, urls: Iterable[str]) -> list[FetchResult]:
        """Fetch attachments concurrently; returns the results in the order of the URLs."""
        return list(await asyncio.gather(*(self._fetch_shared(url) for url in urls)))

    async def _fetch_shared(self, url: str) -> FetchResult:
        """Fetch a URL once for all tasks that wait for it."""
        if url not in self._in_flight:
            task = self._in_flight[url] = asyncio.create_task(self._fetch_in_thread(url))
            task.add_done_callback(lambda _: self._in_flight.pop(url))
        return await self._in_flight[url]

    async def _fetch_in_thread(self, url: str) -> FetchResult:
        if result := self.cached(url):
            return result
        result = await asyncio.wrap_future(self._threads.submit(_fetch, self._pool, url))
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
    """Probe a response, and read only as much of it as necessary. Raises TimeoutError after FETCH_TIMEOUT."""
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
    """Read until `content` has `size` bytes, or to the end of the response."""
    deadline = time.monotonic() + FETCH_TIMEOUT
    while len(content) < size and (chunk := response.read1(size - len(content))):
        content += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
    if len(content) < size:
        response.release_conn()
    return content


def _probe_prefix(content: bytearray, content_type: str | None) -> Media | None:
    """Probe the first bytes; None if more bytes are necessary."""
    known = identify(bytes(content))
    kind = known.kind if known else kind_of_content_type(content_type)
    if kind in ("audio", "video", "unknown"):
        return None
    media = probe_file(BytesIO(content), content_type)
    return None if kind == "image" and media.width is None else media


def _probe_truncated(content: bytearray, content_type: str | None, length: str | None) -> Media:
    """Probe the start of a long file, padded to its full length: some formats derive the duration from it."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        if length and length.isdigit():
            file.truncate(max(int(length), len(content)))  # sparse: takes no disk space
        return probe_file(file, content_type)
