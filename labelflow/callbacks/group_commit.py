"""Group commit: callbacks that arrive at the same time are stored with one write."""

from __future__ import annotations

import asyncio
import logging
import time

from labelflow.callbacks.stored_callbacks import append
from labelflow.errors import StorageError
from labelflow.problems import printable
from labelflow.storage.folder import Folder

PROBE, PROBE_INTERVAL = ".probe", 1.0  # a hidden file, which no reader lists; seconds
COMMIT_INTERVAL = 0.01  # seconds; callbacks that arrive within it share one write


logger = logging.getLogger(__name__)


class GroupCommitWriter:
    """Stores callbacks below a prefix of a folder, with one write for those that arrive together."""

    def __init__(self, folder: Folder, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix
        self._buffer: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.buffered_bytes = 0
        self.has_failed = False  # whether the last write failed
        self.writes = 0
        self._probed_at = float("-inf")

    async def append(self, line: bytes) -> None:
        """Store a callback. It is durable on return. Raises StorageError."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer.append((line, stored))
        self.buffered_bytes += len(line)
        if self._writer is None:
            self._writer = asyncio.create_task(self._commit_buffer())
        await stored

    async def _commit_buffer(self) -> None:
        while self._buffer:
            await asyncio.sleep(COMMIT_INTERVAL)
            batch, self._buffer = self._buffer, []
            error = await self._write([line for line, _ in batch])
            self.buffered_bytes -= sum(len(line) for line, _ in batch)
            for _, stored in batch:
                if not stored.done() and error:
                    stored.set_exception(error)
                elif not stored.done():
                    stored.set_result(None)
        self._writer = None

    async def _write(self, lines: list[bytes]) -> StorageError | None:
        try:
            await asyncio.to_thread(append, self._folder, self._prefix, lines)
        except Exception as error:  # after any error the callbacks are not stored
            failure = error if isinstance(error, StorageError) else StorageError(f"{type(error).__name__}: {error}")
            if not self.has_failed:
                logger.warning("callbacks cannot be stored: %s", printable(str(failure)))
            self.has_failed = True
            return failure
        self.writes += 1
        self.has_failed = False
        return None

    async def probe(self) -> None:
        """After a failed write, try whether the next one would succeed; at most once per PROBE_INTERVAL."""
        if not self.has_failed or time.monotonic() - self._probed_at < PROBE_INTERVAL:
            return
        self._probed_at = time.monotonic()
        try:
            await asyncio.to_thread(self._folder.write, f"{self._prefix}{PROBE}", b"")
        except Exception:
            return
        self.has_failed = False
