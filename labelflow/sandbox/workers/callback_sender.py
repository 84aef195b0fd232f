"""Sends callbacks, with retries. Source: 2017 API, "Callbacks"."""

from __future__ import annotations

import asyncio
import os

import orjson
import urllib3

from labelflow.concurrency.daemon_threads import DaemonThreadPool
from labelflow.sandbox.database.due_queue import now_ms
from labelflow.sandbox.database.records import TaskRow
from labelflow.sandbox.database.store import DeliveryAttempt, Store
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.annotators import NOT_DOWNLOADED
from labelflow.sandbox.workers.background_tasks import BackgroundTasks

AUTH_KEY_VARIABLE = "SCALE_CALLBACK_AUTH_KEY"
DEFAULT_AUTH_KEY = "sandbox-callback-key"
MAX_CONCURRENT_SENDS = 32
REQUEST_TIMEOUT = 10.0  # seconds
MAX_RETRIES = 20
BACKOFF_FACTOR = 1.5  # ratio of consecutive delays


def retry_delay(retry: int, window: float) -> float:
    """Return the seconds before a retry; the delays of all retries add up to `window` seconds.

    retry: from 1 to MAX_RETRIES.
    """
    total = (BACKOFF_FACTOR**MAX_RETRIES - 1) / (BACKOFF_FACTOR - 1)
    return float(window * BACKOFF_FACTOR ** (retry - 1) / total)


class CallbackSender:
    """Sends the due callbacks of a store concurrently."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options
        self._threads = DaemonThreadPool(MAX_CONCURRENT_SENDS, "callback")
        self._pool = urllib3.PoolManager(maxsize=MAX_CONCURRENT_SENDS, timeout=REQUEST_TIMEOUT, retries=False)
        self._send_slots = asyncio.Semaphore(MAX_CONCURRENT_SENDS)
        self._sending = BackgroundTasks()
        self._attempts: list[DeliveryAttempt] = []

    def close(self) -> None:
        """End the threads and close the connections."""
        self._threads.close()
        self._pool.clear()

    async def run(self) -> None:
        """Send due callbacks until canceled; a callback in flight is then sent again after a restart."""
        try:
            while True:
                for seq in await self._store.callback_queue.pop_due(MAX_CONCURRENT_SENDS):
                    await self._dispatch(seq)
        finally:
            await self._sending.stop()

    async def _dispatch(self, seq: int) -> None:
        await self._send_slots.acquire()
        self._sending.start(self._send(seq))

    async def _send(self, seq: int) -> None:
        try:
            (row,) = self._store.rows([seq])
            succeeded = await self._deliver(row, self._body(row))
        finally:
            self._send_slots.release()
        attempt = DeliveryAttempt(seq, succeeded, None if succeeded else self._retry_at(seq))
        self._attempts.append(attempt)
        asyncio.get_running_loop().call_soon(self._record_attempts)  # all attempts of this loop iteration at once

    async def _deliver(self, row: TaskRow, body: bytes) -> bool:
        return await asyncio.wrap_future(self._threads.submit(_post, self._pool, row.callback_url, body))

    def _body(self, row: TaskRow) -> bytes:
        response = orjson.loads(row.response or "{}")
        body = {"task_id": row.task_id, "response": response, "task": row.to_doc(self._options.sink_url)}
        if response.get("error") == NOT_DOWNLOADED:
            body = self._options.api_version.bad_attachment_callback(body, response)
        return orjson.dumps(body)

    def _retry_at(self, seq: int) -> int | None:
        retry = self._store.count_attempts(seq) + 1
        if retry > MAX_RETRIES:
            return None
        return now_ms() + round(retry_delay(retry, self._options.callback_day) * 1000)

    def _record_attempts(self) -> None:
        if self._attempts:
            attempts, self._attempts = self._attempts, []
            self._store.record_attempts(attempts)


def _post(pool: urllib3.PoolManager, url: str, body: bytes) -> bool:
    """Send a callback once; returns whether the response is a 2xx."""
    key = os.environ.get(AUTH_KEY_VARIABLE) or DEFAULT_AUTH_KEY
    headers = {"content-type": "application/json", "scale-callback-auth": key}
    try:
        status = pool.request("POST", url, body=body, headers=headers, redirect=False).status
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return False
    return 200 <= status < 300
