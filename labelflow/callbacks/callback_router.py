"""Receive callbacks: find the job that each belongs to, and store it before it is acknowledged.

Callbacks that arrive at about the same time share one file and one write (group commit). This module does not depend
on a web framework; see `labelflow.callbacks.server`. All calls must come from one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext

from labelflow.callbacks.callback import Callback, parse_callback
from labelflow.callbacks.group_commit import GroupCommitWriter
from labelflow.callbacks.stored_callbacks import CALLBACKS, UNROUTED
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_output_folder
from labelflow.ledger.ledger_parts import SUBMISSIONS
from labelflow.tables.part_files import list_parts, read_part, strings

LARGE_BODY_BYTES = 1 << 20
MAX_BUFFERED_BYTES = 64 << 20  # callbacks waiting to be written; above that they are refused, and senders retry
LEDGER_POLL_INTERVAL = 5.0  # seconds between two reads of the ledgers, for tasks whose metadata does not name a job


class Overloaded(Exception):
    """The callbacks waiting to be written exceed MAX_BUFFERED_BYTES."""


class CallbackDestination:
    """Where the callbacks of one job are stored, and which tasks are its own.

    Raises InvalidInput if the output folder does not exist or belongs to another job.
    """

    def __init__(self, job: Job) -> None:
        self._folder, _ = open_output_folder(job)
        self.name = job.name
        self.writer = GroupCommitWriter(self._folder, CALLBACKS)
        self.unrouted_writer = GroupCommitWriter(self._folder, UNROUTED)
        self._tasks: set[str] = set()
        self._read_parts: set[str] = set()

    def __contains__(self, task_id: str) -> bool:
        """Return whether the job's ledger, as last read, has the task."""
        return task_id in self._tasks

    def refresh(self) -> None:
        """Read the parts of the ledger that were added since the last call. Raises StorageError."""
        for name in list_parts(self._folder, SUBMISSIONS):
            if name not in self._read_parts:
                self._tasks.update(strings(read_part(self._folder, name, ["task_id"]), "task_id"))
                self._read_parts.add(name)


class CallbackRouter:
    """Stores callbacks for several jobs.

    counts: (job, result) → number of callbacks; the result is "stored", "unrouted" or an error metric.
    The job is "" unless the result is "stored".
    Raises InvalidInput if the output of a job cannot be used, two jobs have the same name, or their credentials differ.

        receiver = CallbackRouter([job])
        await receiver.receive(body)
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        if len({job.s3.credentials for job in jobs}) > 1:
            raise InvalidInput(
                "s3.credentials",
                "differs between the jobs",
                "serve jobs with different S3 credentials in separate processes",
            )
        self.routes = [CallbackDestination(job) for job in jobs]
        self.counts: Counter[tuple[str, str]] = Counter()
        self._by_name = {route.name: route for route in self.routes}
        self._unrouted = self.routes[0].unrouted_writer
        self._refreshed_at = float("-inf")
        self._refreshing, self._parsing_large = asyncio.Lock(), asyncio.Lock()
        if len(self._by_name) < len(jobs):
            raise InvalidInput("CONFIG", "two jobs have the same name", "serve each job once")

    @property
    def writers(self) -> list[GroupCommitWriter]:
        """The writers of all jobs, and that of unrouted callbacks."""
        return [*(route.writer for route in self.routes), self._unrouted]

    async def receive(self, content: bytes | bytearray) -> None:
        """Store a callback. It is durable on return.

        content: the body of the HTTP request. Raises InvalidCallback, Overloaded, StorageError.
        """
        # A parsed callback takes many times the memory of its body: only one large one exists at a time.
        async with self._parsing_large if len(content) > LARGE_BODY_BYTES else nullcontext():
            callback = parse_callback(bytes(content))
            line, route = callback.to_line(), await self._route_of(callback)
            del callback
        await self._store(line, route)

    async def _store(self, line: bytes, route: CallbackDestination | None) -> None:
        if sum(writer.buffered_bytes for writer in self.writers) + len(line) > MAX_BUFFERED_BYTES:
            raise Overloaded
        if route is None:
            await self._unrouted.append(line)
            self.counts["", "unrouted"] += 1
        else:
            await route.writer.append(line)
            self.counts[route.name, "stored"] += 1

    async def _route_of(self, callback: Callback) -> CallbackDestination | None:
        """Return the job of a callback's task: by the task's metadata, else by the ledgers; None if neither has it."""
        metadata = callback.task.metadata if callback.task else {}
        if isinstance(metadata.get("row_id"), str) and (named_route := self._by_name.get(str(metadata.get("job")))):
            return named_route
        if callback.task_id is None:
            return None
        if owner := await self._find_owner(callback.task_id):
            return owner
        # A callback about bad attachments may lack the task, and arrive before the ledger has it. With only one job,
        # it must be for that job.
        return self.routes[0] if callback.task is None and len(self.routes) == 1 else None

    async def _find_owner(self, task_id: str) -> CallbackDestination | None:
        async with self._refreshing:
            owner = self._known_owner(task_id)
            if owner or time.monotonic() - self._refreshed_at < LEDGER_POLL_INTERVAL:
                return owner
            for route in self.routes:
                await asyncio.to_thread(route.refresh)
            self._refreshed_at = time.monotonic()
        return self._known_owner(task_id)

    def _known_owner(self, task_id: str) -> CallbackDestination | None:
        return next((route for route in self.routes if task_id in route), None)
