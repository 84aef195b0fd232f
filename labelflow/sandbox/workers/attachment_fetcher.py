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

from labelflow.media import Media, kind_of_bytes, kind_of_content_type, measure
from labelflow.sandbox.threads import Threads

AT_ONCE = 16
SECONDS = 15.0  # for one attachment in all
REDIRECTS = 5
ENOUGH = 64 * 1024  # bytes in which an image tells its size
MOST = 4 * 1024 * 1024  # bytes that are read of any attachment
KEPT = 50_000  # attachments whose facts are remembered
MEASURED_WHOLE = ("audio", "video")


@dataclass(frozen=True, slots=True)
class Look:
    """What came of fetching an attachment: an HTTP status (0: no answer at all), and what it is if that is 200."""

    url: str
    status: int
    media: Media | None = None


def bare(url: str) -> str:
    """A URL without its query string, which may hold a signature."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


class Attachments:
    """Looks at attachments, so many at once; what was found is remembered by URL without the query string."""

    def __init__(self) -> None:
        self._threads = Threads(AT_ONCE)
        # Once more where a kept-alive connection turns out to be closed.
        retries = urllib3.Retry(total=None, connect=0, read=1, redirect=REDIRECTS, status=0, other=0)
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE, timeout=SECONDS, retries=retries)
        self._known: OrderedDict[str, Media] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Look]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._threads.close()
        self._pool.clear()

    def known(self, url: str) -> Look | None:
        """What is remembered of an attachment."""
        media = self._known.get(bare(url))
        if media is None:
            return None
        self._known.move_to_end(bare(url))
        return Look(url, 200, media)

    async def look(self, urls: Iterable[str]) -> list[Look]:
        """Look at attachments, side by side."""
        return list(await asyncio.gather(*(self._look(url) for url in urls)))

    async def _look(self, url: str) -> Look:
        """Look once, however many tasks share the URL."""
        if url not in self._under_way:
            task = self._under_way[url] = asyncio.create_task(self._look_in_thread(url))
            task.add_done_callback(lambda _: self._under_way.pop(url))
        return await self._under_way[url]

    async def _look_in_thread(self, url: str) -> Look:
        if look := self.known(url):
            return look
        look = await self._threads.run(_fetch, self._pool, url)
        if look.media:
            self._known[bare(url)] = look.media
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return look


def _fetch(pool: urllib3.PoolManager, url: str) -> Look:
    try:
        with pool.request("GET", url, preload_content=False) as response:
            if response.status != 200:
                return Look(url, response.status)
            return Look(url, 200, _measured(response))
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return Look(url, 0)


def _measured(response: urllib3.BaseHTTPResponse) -> Media:
    """Read as much of an answer as it takes to tell what it is. Raises TimeoutError where it takes too long."""
    content_type = response.headers.get("content-type")
    content = _read(response, ENOUGH, bytearray())
    if len(content) < ENOUGH:
        return measure(BytesIO(content), content_type)
    if media := _told_by_start(content, content_type):
        return media
    if len(_read(response, MOST, content)) < MOST:
        return measure(BytesIO(content), content_type)
    return _measured_cut_off(content, content_type, response.headers.get("content-length"))


def _read(response: urllib3.BaseHTTPResponse, size: int, content: bytearray) -> bytearray:
    """Read on until so much is there, or the end."""
    deadline = time.monotonic() + SECONDS
    while len(content) < size and (chunk := response.read1(size - len(content))):
        content += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
    if len(content) < size:
        response.release_conn()
    return content


def _told_by_start(content: bytearray, content_type: str | None) -> Media | None:
    """What the first bytes tell; None where more of them would tell more."""
    kind = kind_of_bytes(bytes(content[:64]))
    if kind == "unknown":
        kind = kind_of_content_type(content_type)
    if kind in MEASURED_WHOLE:
        return None
    media = measure(BytesIO(content), content_type)
    return None if kind == "image" and media.width is None else media


def _measured_cut_off(content: bytearray, content_type: str | None, length: str | None) -> Media:
    """Measure the start of a long file as one of its true size, as formats without a length in them need it."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        if length and length.isdigit():
            file.truncate(max(int(length), len(content)))  # a hole, which takes no room
        return measure(file, content_type)
