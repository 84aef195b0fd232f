"""Receive callbacks: find the job that each belongs to, and store it before it is acknowledged.

Many callbacks that come in together share one file, so one write: a group commit. Free of any web framework; see
`labelflow.callbacks.server`. For one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from labelflow.callbacks.callback import CALLBACKS, SET_ASIDE, Callback, parse_callback, store
from labelflow.errors import StoreTrouble, Unusable
from labelflow.jobs.job import Job
from labelflow.ledger.job_record import recorded_source
from labelflow.ledger.parts import SUBMISSIONS
from labelflow.storage.folder import Folder, open_output
from labelflow.tables.schemas import parts, read_part, texts

GATHER_SECONDS = 0.01  # in which callbacks are gathered for one write
MOST_WAITING = 64 << 20  # bytes of callbacks that wait to be written; beyond that senders come again later
LOOK_EVERY = 5.0  # seconds between two looks at the ledgers, for tasks that do not say whose they are


class Busy(Exception):
    """More callbacks wait to be written than there is room for."""


class Shelf:
    """A place in a folder where callbacks are stored, those that come in together with one write."""

    def __init__(self, folder: Folder, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.bytes_waiting = 0
        self.trouble: str | None = None  # why the last write failed
        self.writes = 0

    async def store(self, line: bytes) -> None:
        """Store a callback. On return it is on lasting storage. Raises StoreTrouble."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, stored))
        self.bytes_waiting += len(line)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_what_waits())
        await stored

    async def _write_what_waits(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            batch, self._waiting = self._waiting, []
            error = await self._write([line for line, _ in batch])
            self.bytes_waiting -= sum(len(line) for line, _ in batch)
            for _, stored in batch:
                if not stored.done() and error:
                    stored.set_exception(error)
                elif not stored.done():
                    stored.set_result(None)
        self._writer = None

    async def _write(self, lines: list[bytes]) -> StoreTrouble | None:
        try:
            await asyncio.to_thread(store, self._folder, self._prefix, lines)
        except Exception as error:  # whatever it is, it is stored no callback
            trouble = error if isinstance(error, StoreTrouble) else StoreTrouble(f"{type(error).__name__}: {error}")
            self.trouble = str(trouble)
            return trouble
        self.writes += 1
        self.trouble = None
        return None


class Address:
    """A job, as far as callbacks are concerned: where they go, and which tasks are its own.

    Raises Unusable where its output is not there, or is another job's.
    """

    def __init__(self, job: Job) -> None:
        self._folder = open_output(job.output)
        try:
            recorded_source(self._folder, job)
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None
        self.name = job.name
        self.shelf = Shelf(self._folder, CALLBACKS)
        self.set_aside = Shelf(self._folder, SET_ASIDE)
        self._tasks: set[str] = set()
        self._read: set[str] = set()

    def __contains__(self, task_id: str) -> bool:
        """Whether the job's ledger, as it was last read, has the task."""
        return task_id in self._tasks

    def read_ledger(self) -> None:
        """Take note of the tasks that were recorded since."""
        for name in parts(self._folder, SUBMISSIONS):
            if name not in self._read:
                self._tasks.update(texts(read_part(self._folder, name, ["task_id"]), "task_id"))
                self._read.add(name)


class Receiver:
    """Takes callbacks for several jobs. Raises Unusable where a job cannot be received for.

    counts: by (job, what became of them); job is empty where it is not known.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.addresses = [Address(job) for job in jobs]
        self.counts: Counter[tuple[str, str]] = Counter()
        self._by_name = {address.name: address for address in self.addresses}
        self._set_aside = self.addresses[0].set_aside
        self._looked_at = float("-inf")
        self._looking: asyncio.Lock | None = None
        if len(self._by_name) < len(jobs):
            raise Unusable("CONFIG", "two jobs have the same name", "serve each job once")

    @property
    def shelves(self) -> list[Shelf]:
        """All places where callbacks are stored."""
        return [*(address.shelf for address in self.addresses), self._set_aside]

    async def take(self, content: bytes) -> None:
        """Store a callback. On return it is on lasting storage. Raises NoCallback, Busy, StoreTrouble."""
        callback = parse_callback(content)
        line = callback.line()
        if sum(shelf.bytes_waiting for shelf in self.shelves) + len(line) > MOST_WAITING:
            raise Busy
        address = await self._address_of(callback)
        if address is None:
            await self._set_aside.store(line)
            self.counts["", "set_aside"] += 1
        else:
            await address.shelf.store(line)
            self.counts[address.name, "stored"] += 1

    async def _address_of(self, callback: Callback) -> Address | None:
        """The job of a callback's task: as its metadata says, else as the ledgers do."""
        metadata = callback.task.metadata if callback.task else {}
        if isinstance(metadata.get("row_id"), str) and (named := self._by_name.get(str(metadata.get("job")))):
            return named
        if callback.task_id is None:
            return None
        if owner := await self._owner(callback.task_id):
            return owner
        # Bad attachments may be told without the task, and before the ledger has it: it can be that of the only job.
        return self.addresses[0] if callback.task is None and len(self.addresses) == 1 else None

    async def _owner(self, task_id: str) -> Address | None:
        self._looking = self._looking or asyncio.Lock()
        async with self._looking:
            owner = self._known_owner(task_id)
            if owner or time.monotonic() - self._looked_at < LOOK_EVERY:
                return owner
            for address in self.addresses:
                await asyncio.to_thread(address.read_ledger)
            self._looked_at = time.monotonic()
        return self._known_owner(task_id)

    def _known_owner(self, task_id: str) -> Address | None:
        return next((address for address in self.addresses if task_id in address), None)
