"""Sends callbacks, and sends them again. Source: contract A "Callbacks"."""

from __future__ import annotations

import asyncio
import os

import orjson
import urllib3

from labelflow.sandbox.database.due_queue import now_ms
from labelflow.sandbox.database.records import Row
from labelflow.sandbox.database.store import Attempt, Store
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.threads import Threads
from labelflow.sandbox.workers.annotators import NOT_DOWNLOADED
from labelflow.sandbox.workers.background_tasks import Crew

AUTH_KEY = "SCALE_CALLBACK_AUTH_KEY"
DEFAULT_AUTH_KEY = "sandbox-callback-key"
AT_ONCE = 32
SECONDS = 10.0  # for one answer
RETRIES = 20
GROWTH = 1.5  # each pause is so many times the one before


def pause_before(retry: int, day: float) -> float:
    """Seconds to wait before a retry (the first is 1); all of them together take a day."""
    all_of_them = (GROWTH**RETRIES - 1) / (GROWTH - 1)
    return float(day * GROWTH ** (retry - 1) / all_of_them)


class Callbacks:
    """Delivers what the store says is due, so many at once."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options
        self._threads = Threads(AT_ONCE)
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE, timeout=SECONDS, retries=False)
        self._free = asyncio.Semaphore(AT_ONCE)
        self._sending = Crew()
        self._attempted: list[Attempt] = []

    def close(self) -> None:
        """Close the connections."""
        self._threads.close()
        self._pool.clear()

    async def work(self) -> None:
        """Send what falls due, until told to stop; what is under way by then is sent again another time."""
        try:
            while True:
                for seq in await self._store.mail.due(AT_ONCE):
                    await self._dispatch(seq)
        finally:
            await self._sending.stop()

    async def _dispatch(self, seq: int) -> None:
        await self._free.acquire()
        self._sending.start(self._send(seq))

    async def _send(self, seq: int) -> None:
        try:
            (row,) = self._store.rows([seq])
            succeeded = await self._deliver(row, self._body(row))
        finally:
            self._free.release()
        attempt = Attempt(seq, succeeded, None if succeeded else self._retry_at(seq))
        asyncio.get_running_loop().call_soon(self._note_attempts)  # with all others that end in this round
        self._attempted.append(attempt)

    async def _deliver(self, row: Row, body: bytes) -> bool:
        return await self._threads.run(_post, self._pool, row.callback_url, body)

    def _body(self, row: Row) -> bytes:
        response = orjson.loads(row.response or "{}")
        body = {"task_id": row.task_id, "response": response, "task": row.doc(self._options.sink)}
        if response.get("error") == NOT_DOWNLOADED:
            body = self._options.dialect.bad_attachment_callback(body, response)
        return orjson.dumps(body)

    def _retry_at(self, seq: int) -> int | None:
        retry = self._store.attempts(seq) + 1
        if retry > RETRIES:
            return None
        return now_ms() + round(pause_before(retry, self._options.callback_day) * 1000)

    def _note_attempts(self) -> None:
        if self._attempted:
            attempted, self._attempted = self._attempted, []
            self._store.attempted(attempted)


def _post(pool: urllib3.PoolManager, url: str, body: bytes) -> bool:
    """Send a callback once: whether the answer was a 2xx."""
    key = os.environ.get(AUTH_KEY) or DEFAULT_AUTH_KEY
    headers = {"content-type": "application/json", "scale-callback-auth": key}
    try:
        status = pool.request("POST", url, body=body, headers=headers, redirect=False).status
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return False
    return 200 <= status < 300
