"""Simulated annotators: answer tasks when they are due. Source: 2017 API, "Responses" and "Attachments"."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Sequence
from typing import Any

import orjson

from labelflow.sandbox.api.task_request import to_json
from labelflow.sandbox.database.records import TaskRow
from labelflow.sandbox.database.store import Store, TaskResult
from labelflow.sandbox.settings.api_version import ApiVersion
from labelflow.sandbox.workers.attachment_fetcher import AttachmentFetcher, FetchResult, without_query
from labelflow.sandbox.workers.background_tasks import BackgroundTasks
from labelflow.scale.models import MAX_AUDIO_SECONDS, TaskStatus
from labelflow.scale.task_types import FakeFile, place_files, replace_values, task_type

BATCH_SIZE = 100  # tasks in one transaction
MAX_FETCHING_TASKS = 1_000  # tasks whose attachments are being fetched
BATCH_INTERVAL = 0.005  # seconds to collect due tasks for one transaction
NOT_DOWNLOADED = "One or more attachments could not be downloaded."
_FETCHED = ("http://", "https://")
TOO_LONG = f"The recording is longer than {MAX_AUDIO_SECONDS / 60:.0f} minutes."

log = logging.getLogger(__name__)


class Annotators:
    """Answers pending tasks. Tasks with the same content get the same answer."""

    def __init__(self, store: Store, attachment_fetcher: AttachmentFetcher, api_version: ApiVersion) -> None:
        self._store = store
        self._attachment_fetcher = attachment_fetcher
        self._api_version = api_version
        self._results: list[TaskResult] = []
        self._fetching = BackgroundTasks()
        self._fetch_slots = asyncio.Semaphore(MAX_FETCHING_TASKS)

    async def run(self) -> None:
        """Answer due tasks until canceled; unanswered tasks stay pending."""
        try:
            while True:
                for row in self._store.rows(await self._store.task_queue.pop_due(BATCH_SIZE)):
                    if row.is_pending:
                        await self._start(row)
                self._flush()
                await asyncio.sleep(BATCH_INTERVAL)
        finally:
            await self._fetching.stop()

    async def _start(self, row: TaskRow) -> None:
        """Answer a task at once if its attachments are cached, else after fetching them."""
        params = orjson.loads(row.params)
        cached = [self._attachment_fetcher.cached(url) for url in _urls(row.type, params)]
        fetch_results = [result for result in cached if result]
        if len(fetch_results) == len(cached):
            self._results.append(self._result(row, params, fetch_results))
            return
        await self._fetch_slots.acquire()
        self._fetching.start(self._fetch_and_answer(row, params))

    async def _fetch_and_answer(self, row: TaskRow, params: dict[str, Any]) -> None:
        try:
            fetch_results = await self._attachment_fetcher.fetch_all(_urls(row.type, params))
        finally:
            self._fetch_slots.release()
        self._results.append(self._result(row, params, fetch_results))
        asyncio.get_running_loop().call_soon(self._flush)  # all results of this loop iteration at once

    def _flush(self) -> None:
        if self._results:
            results, self._results = self._results, []
            self._store.finish(results)

    def _result(self, row: TaskRow, params: dict[str, Any], fetch_results: Sequence[FetchResult]) -> TaskResult:
        response = self._response(row, params, fetch_results)
        failed = "error" in response
        return TaskResult(
            seq=row.seq,
            status=self._api_version.failed_status if failed else TaskStatus.COMPLETED,
            failed=failed,
            response=to_json(response),
            needs_callback=row.callback_url is not None and "://" in row.callback_url,  # not to an e-mail address
        )

    def _response(self, row: TaskRow, params: dict[str, Any], fetch_results: Sequence[FetchResult]) -> dict[str, Any]:
        return make_response(row.type, params, fetch_results)


def make_response(
    name: str, params: dict[str, Any], fetch_results: Sequence[FetchResult], variant: int = 0
) -> dict[str, Any]:
    """Return the response to a task's content, or an object with `error` if the task fails.

    name: the task type. variant: another number gives another response.
    """
    failed = [{"statusCode": result.status, "url": result.url} for result in fetch_results if result.media is None]
    if failed:
        return {"error": NOT_DOWNLOADED, "attachments": failed}
    media = [result.media for result in fetch_results if result.media]
    if name == "audiotranscription" and any((recording.seconds or 0) > MAX_AUDIO_SECONDS for recording in media):
        return {"error": TOO_LONG}
    rng = random.Random(content_hash(name, params) + variant)
    try:
        response: dict[str, Any] = place_files(task_type(name).fake_response(params, media, rng), _placeholder)
        return response
    except Exception:  # must not stop the work on the other tasks
        log.exception("the fake response to a task of type %s failed", name)
        return {"error": "The sandbox could not create a response."}


def _placeholder(file: FakeFile) -> str:
    return f"https://placeholder.invalid/{file.name}"


def _urls(name: str, params: dict[str, Any]) -> list[str]:
    """Return the URLs of the attachments to fetch; a text has none."""
    found = task_type(name).find_attachments(params)
    return [item.value for item in found if item.kind != "text" and item.value.lower().startswith(_FETCHED)]


def content_hash(name: str, params: dict[str, Any]) -> int:
    """Return a 64-bit hash of a task's content, without the query strings of its URLs."""
    found = task_type(name).find_attachments(params)
    urls = {item.path: without_query(item.value) for item in found if item.kind != "text" and "://" in item.value}
    content = orjson.dumps([name, replace_values(params, urls)], option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
