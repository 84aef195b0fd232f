"""Receive callbacks: find the job that each belongs to, and store it before it is acknowledged.

Many callbacks that come in together share one file, so one write: a group commit. Free of any web framework; see
`labelflow.callbacks.server`. For one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from labelflow.callbacks.callback import Callback, parse_callback
from labelflow.callbacks.group_commit import GroupCommitWriter
from labelflow.callbacks.spool import CALLBACKS, UNROUTED
from labelflow.errors import UsageError
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_output_folder
from labelflow.ledger.parts import SUBMISSIONS
from labelflow.tables.parts import list_parts, read_part, strings

MAX_BUFFERED_BYTES = 64 << 20  # bytes of callbacks that wait to be written; beyond that senders come again later
LEDGER_POLL_INTERVAL = 5.0  # seconds between two looks at the ledgers, for tasks that do not say whose they are


class Overloaded(Exception):
    """More callbacks wait to be written than there is room for."""


class JobRoute:
    """A job, as far as callbacks are concerned: where they go, and which tasks are its own.

    Raises UsageError where its output is not there, or is another job's.
    """

    def __init__(self, job: Job) -> None:
        self._folder, _ = open_output_folder(job)
        self.name = job.name
        self.writer = GroupCommitWriter(self._folder, CALLBACKS)
        self.unrouted_writer = GroupCommitWriter(self._folder, UNROUTED)
        self._tasks: set[str] = set()
        self._read_parts: set[str] = set()

    def __contains__(self, task_id: str) -> bool:
        """Whether the job's ledger, as it was last read, has the task."""
        return task_id in self._tasks

    def refresh(self) -> None:
        """Take note of the tasks that were recorded since."""
        for name in list_parts(self._folder, SUBMISSIONS):
            if name not in self._read_parts:
                self._tasks.update(strings(read_part(self._folder, name, ["task_id"]), "task_id"))
                self._read_parts.add(name)


class CallbackReceiver:
    """Takes callbacks for several jobs. Raises UsageError where a job cannot be received for.

    counts: by (job, what became of them); job is empty where it is not known.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        if len({job.s3.credentials for job in jobs}) > 1:
            raise UsageError("s3.credentials", "differs between the jobs", "serve jobs of one account in a process")
        self.routes = [JobRoute(job) for job in jobs]
        self.counts: Counter[tuple[str, str]] = Counter()
        self._by_name = {address.name: address for address in self.routes}
        self._unrouted = self.routes[0].unrouted_writer
        self._refreshed_at = float("-inf")
        self._refreshing: asyncio.Lock | None = None
        if len(self._by_name) < len(jobs):
            raise UsageError("CONFIG", "two jobs have the same name", "serve each job once")

    @property
    def writers(self) -> list[GroupCommitWriter]:
        """All places where callbacks are stored."""
        return [*(address.writer for address in self.routes), self._unrouted]

    async def receive(self, content: bytes) -> None:
        """Store a callback. On return it is on lasting storage. Raises InvalidCallback, Overloaded, StorageError."""
        callback = parse_callback(content)
        line = callback.to_line()
        if sum(shelf.buffered_bytes for shelf in self.writers) + len(line) > MAX_BUFFERED_BYTES:
            raise Overloaded
        address = await self._route_of(callback)
        if address is None:
            await self._unrouted.append(line)
            self.counts["", "unrouted"] += 1
        else:
            await address.writer.append(line)
            self.counts[address.name, "stored"] += 1

    async def _route_of(self, callback: Callback) -> JobRoute | None:
        """The job of a callback's task: as its metadata says, else as the ledgers do."""
        metadata = callback.task.metadata if callback.task else {}
        if isinstance(metadata.get("row_id"), str) and (named := self._by_name.get(str(metadata.get("job")))):
            return named
        if callback.task_id is None:
            return None
        if owner := await self._find_owner(callback.task_id):
            return owner
        # Bad attachments may be told without the task, and before the ledger has it: it can be that of the only job.
        return self.routes[0] if callback.task is None and len(self.routes) == 1 else None

    async def _find_owner(self, task_id: str) -> JobRoute | None:
        self._refreshing = self._refreshing or asyncio.Lock()
        async with self._refreshing:
            owner = self._known_owner(task_id)
            if owner or time.monotonic() - self._refreshed_at < LEDGER_POLL_INTERVAL:
                return owner
            for address in self.routes:
                await asyncio.to_thread(address.refresh)
            self._refreshed_at = time.monotonic()
        return self._known_owner(task_id)

    def _known_owner(self, task_id: str) -> JobRoute | None:
        return next((address for address in self.routes if task_id in address), None)
