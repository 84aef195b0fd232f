"""People who fail: tasks that end with an error, lose an attachment, or are recalled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from labelflow.sandbox.database.records import Row
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.recalls import Recalls
from labelflow.sandbox.faults.sampler import Fates
from labelflow.sandbox.settings.api_version import Dialect
from labelflow.sandbox.settings.fault_kinds import DEAD_ATTACHMENT, ERROR, RECALL
from labelflow.sandbox.workers.annotators import People, content_number, response_to
from labelflow.sandbox.workers.attachment_fetcher import Attachments, Look

Response = dict[str, Any]

GIVEN_UP = "The task could not be done."
TRIES = 100  # to make up an answer that differs


@dataclass(frozen=True, slots=True)
class Case:
    """A task that meets a fault: its attachments, the answer that it would have got, and the fault's seconds."""

    row: Row
    params: dict[str, Any]
    looks: Sequence[Look]
    response: Response
    seconds: float


class FaultyPeople(People):
    """Answers tasks, but for those that meet a fault: the same content and metadata meet the same one."""

    def __init__(
        self, store: Store, attachments: Attachments, dialect: Dialect, fates: Fates, counts: Counter[str]
    ) -> None:
        super().__init__(store, attachments, dialect)
        self._fates = fates
        self._counts = counts
        self._recalls = Recalls(store, counts)
        self._strikes = {
            ERROR.name: self._give_up,
            DEAD_ATTACHMENT.name: self._lose_attachment,
            RECALL.name: self._recall_later,
        }

    async def work(self) -> None:
        """Answer what falls due, and recall some of it, until told to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().work())
            group.create_task(self._recalls.work())

    def _response(self, row: Row, params: dict[str, Any], looks: Sequence[Look]) -> Response:
        response = super()._response(row, params, looks)
        if "error" in response:
            return response
        if self._recalls.has_been(row.seq):
            return _another(row, params, looks, response)
        setting = self._fates.of(_content(row, params))
        if setting is None:
            return response
        return self._strikes[setting.kind.name](Case(row, params, looks, response, setting.seconds))

    def _give_up(self, _: Case) -> Response:
        self._counts[ERROR.name] += 1
        return {"error": GIVEN_UP}

    def _lose_attachment(self, case: Case) -> Response:
        if not case.looks:
            return case.response
        self._counts[DEAD_ATTACHMENT.name] += 1
        lost = Look(case.looks[0].url, 404)
        return response_to(case.row.type, case.params, [lost])

    def _recall_later(self, case: Case) -> Response:
        self._recalls.plan(case.row.seq, case.seconds)
        return case.response


def _content(row: Row, params: dict[str, Any]) -> bytes:
    content = [content_number(row.type, params), orjson.loads(row.metadata)]
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _another(row: Row, params: dict[str, Any], looks: Sequence[Look], first: Response) -> Response:
    """An answer that differs from the first, where the task leaves room for one."""
    answers = (response_to(row.type, params, looks, draw) for draw in range(1, TRIES))
    return next((answer for answer in answers if answer != first), first)
