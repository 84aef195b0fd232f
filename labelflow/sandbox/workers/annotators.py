"""Stands in for the people: answers each task when it is due. Source: contract A "Responses", "Attachments"."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Sequence
from typing import Any

import orjson

from labelflow.sandbox.api.task_request import to_json
from labelflow.sandbox.database.records import Row
from labelflow.sandbox.database.store import Outcome, Store
from labelflow.sandbox.settings.api_version import Dialect
from labelflow.sandbox.workers.attachment_fetcher import Attachments, Look, bare
from labelflow.sandbox.workers.background_tasks import Crew
from labelflow.scale.models import MAX_AUDIO_SECONDS, TaskStatus
from labelflow.scale.task_types import task_type

AT_ONCE = 100  # tasks in one transaction
LOOKING_AT_ONCE = 1_000  # tasks whose attachments are being fetched
TOGETHER = 0.005  # seconds in which tasks that fall due are gathered
NOT_DOWNLOADED = "One or more attachments could not be downloaded."
TOO_LONG = f"The recording is longer than {MAX_AUDIO_SECONDS / 60:.0f} minutes."

log = logging.getLogger(__name__)


class People:
    """Answers pending tasks. The same task always gets the same answer."""

    def __init__(self, store: Store, attachments: Attachments, dialect: Dialect) -> None:
        self._store = store
        self._attachments = attachments
        self._dialect = dialect
        self._answered: list[Outcome] = []
        self._looking = Crew()
        self._room = asyncio.Semaphore(LOOKING_AT_ONCE)

    async def work(self) -> None:
        """Answer what falls due, until told to stop; what is not answered by then stays pending."""
        try:
            while True:
                for row in self._store.rows(await self._store.work.due(AT_ONCE)):
                    if row.is_pending:
                        await self._begin(row)
                self._finish()
                await asyncio.sleep(TOGETHER)
        finally:
            await self._looking.stop()

    async def _begin(self, row: Row) -> None:
        """Answer a task at once, where its attachments are known; else once they were looked at."""
        params = orjson.loads(row.params)
        known = [self._attachments.known(url) for url in _urls(row.type, params)]
        looks = [look for look in known if look]
        if len(looks) == len(known):
            self._answered.append(self._outcome(row, params, looks))
            return
        await self._room.acquire()
        self._looking.start(self._look_and_answer(row, params))

    async def _look_and_answer(self, row: Row, params: dict[str, Any]) -> None:
        try:
            looks = await self._attachments.look(_urls(row.type, params))
        finally:
            self._room.release()
        asyncio.get_running_loop().call_soon(self._finish)  # with all others that end in this round
        self._answered.append(self._outcome(row, params, looks))

    def _finish(self) -> None:
        if self._answered:
            answered, self._answered = self._answered, []
            self._store.finish(answered)

    def _outcome(self, row: Row, params: dict[str, Any], looks: Sequence[Look]) -> Outcome:
        response = self._response(row, params, looks)
        failed = "error" in response
        return Outcome(
            seq=row.seq,
            status=self._dialect.failed if failed else TaskStatus.COMPLETED,
            failed=failed,
            response=to_json(response),
            to_deliver=row.callback_url is not None and "://" in row.callback_url,  # no mail is sent
        )

    def _response(self, row: Row, params: dict[str, Any], looks: Sequence[Look]) -> dict[str, Any]:
        return response_to(row.type, params, looks)


def response_to(name: str, params: dict[str, Any], looks: Sequence[Look], draw: int = 0) -> dict[str, Any]:
    """The response to a task's content; draw: another number makes up another answer."""
    bad = [{"statusCode": look.status, "url": look.url} for look in looks if look.media is None]
    if bad:
        return {"error": NOT_DOWNLOADED, "attachments": bad}
    media = [look.media for look in looks if look.media]
    if name == "audiotranscription" and any((one.seconds or 0) > MAX_AUDIO_SECONDS for one in media):
        return {"error": TOO_LONG}
    rng = random.Random(content_number(name, params) + draw)
    try:
        return task_type(name).imagine(params, media, rng)
    except Exception:  # one odd task must not end the work on all others
        log.exception("a task of type %s could not be answered", name)
        return {"error": "The sandbox could not make up a response."}


def _urls(name: str, params: dict[str, Any]) -> list[str]:
    """The attachments that are to be fetched: none where `attachment_type` is `text`."""
    if params.get("attachment_type") == "text":
        return []
    values = task_type(name).params.model_construct(**params).attachment_values()
    return [url for _, url in values if isinstance(url, str) and url.lower().startswith(("http://", "https://"))]


def content_number(name: str, params: dict[str, Any]) -> int:
    """A number for a task's content, whatever signatures its URLs carry."""
    if params.get("attachment_type") != "text":
        params = {key: _without_queries(value) for key, value in params.items()}
    content = orjson.dumps([name, params], option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def _without_queries(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_queries(one) for one in value]
    return bare(value) if isinstance(value, str) and "://" in value else value
