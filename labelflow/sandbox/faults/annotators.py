"""Faults of tasks: errors, unavailable attachments, recalls, large answers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from labelflow.sandbox.database.records import TaskRow
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.recalls import Recalls
from labelflow.sandbox.faults.sampler import FaultSampler
from labelflow.sandbox.settings.api_version import ApiVersion
from labelflow.sandbox.settings.fault_kinds import DEAD_ATTACHMENT, ERROR, LARGE_ANSWER, RECALL
from labelflow.sandbox.workers.annotators import Annotators, content_hash, make_response
from labelflow.sandbox.workers.attachment_fetcher import AttachmentFetcher, FetchResult

ResponseData = dict[str, Any]

FAILED_MESSAGE = "The task could not be done."
LARGE_ANSWER_CHARS = 200_000
MAX_VARIANTS = 100  # attempts to find a different response


@dataclass(frozen=True, slots=True)
class FaultyTask:
    """A task with a fault: its attachments, its response without the fault, and the time of the fault."""

    row: TaskRow
    params: dict[str, Any]
    fetch_results: Sequence[FetchResult]
    response: ResponseData
    seconds: float


class FaultyAnnotators(Annotators):
    """Annotators with faults. Tasks with the same content and metadata have the same fault."""

    def __init__(
        self,
        store: Store,
        attachment_fetcher: AttachmentFetcher,
        api_version: ApiVersion,
        sampler: FaultSampler,
        counts: Counter[str],
    ) -> None:
        super().__init__(store, attachment_fetcher, api_version)
        self._sampler = sampler
        self._counts = counts
        self._recalls = Recalls(store, counts)
        self._injectors = {
            ERROR.name: self._fail,
            DEAD_ATTACHMENT.name: self._lose_attachment,
            RECALL.name: self._schedule_recall,
            LARGE_ANSWER.name: self._enlarge,
        }

    async def run(self) -> None:
        """Answer due tasks and recall some of them, until canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._recalls.run())

    def _response(self, row: TaskRow, params: dict[str, Any], fetch_results: Sequence[FetchResult]) -> ResponseData:
        response = super()._response(row, params, fetch_results)
        if "error" in response:
            return response
        if self._recalls.was_recalled(row.seq):
            return _different_response(row, params, fetch_results, response)
        setting = self._sampler.sample_for(_content_key(row, params))
        if setting is None:
            return response
        return self._injectors[setting.kind.name](FaultyTask(row, params, fetch_results, response, setting.seconds))

    def _fail(self, _: FaultyTask) -> ResponseData:
        self._counts[ERROR.name] += 1
        return {"error": FAILED_MESSAGE}

    def _lose_attachment(self, case: FaultyTask) -> ResponseData:
        if not case.fetch_results:
            return case.response
        self._counts[DEAD_ATTACHMENT.name] += 1
        not_found = FetchResult(case.fetch_results[0].url, 404)
        return make_response(case.row.type, case.params, [not_found])

    def _schedule_recall(self, case: FaultyTask) -> ResponseData:
        self._recalls.schedule(case.row.seq, case.seconds)
        return case.response

    def _enlarge(self, case: FaultyTask) -> ResponseData:
        self._counts[LARGE_ANSWER.name] += 1
        padding = random.Random(case.row.seq).randbytes(LARGE_ANSWER_CHARS // 2).hex()
        return {**case.response, "padding": padding}


def _content_key(row: TaskRow, params: dict[str, Any]) -> bytes:
    parts = [content_hash(row.type, params), orjson.loads(row.metadata)]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def _different_response(
    row: TaskRow, params: dict[str, Any], fetch_results: Sequence[FetchResult], first: ResponseData
) -> ResponseData:
    """Return a response that differs from the first; the same one if the task allows no other."""
    responses = (make_response(row.type, params, fetch_results, variant) for variant in range(1, MAX_VARIANTS))
    return next((response for response in responses if response != first), first)
