"""Watch a lease from another process: a worker stops when the run's lease ends."""

from __future__ import annotations

import threading

from labelflow.concurrency import lease_record
from labelflow.concurrency.lease_record import (
    LeaseLost,
    LeaseRecord,
    _now,
    read_lease_record,
)
from labelflow.errors import Cancelled, StorageError
from labelflow.storage.folder import Folder

WATCH_INTERVAL = 1.0  # between two looks of a tenant at the lease that it works under


class LeaseWatcher:
    """A process elsewhere, at work under the lease of another one. Threads may share it.

    It stops when the lease is given up, when it is told to, or when the holder's heart has stood still for too long.
    """

    def __init__(self, folder: Folder, file: str) -> None:
        self._folder = folder
        self._file = file
        self._lock = threading.Lock()
        self._heartbeat = -1
        self._heartbeat_at = self._read_at = float("-inf")
        self._holder: LeaseRecord | None = None

    def check(self) -> None:
        """Raises Cancelled or LeaseLost where nothing more may be sent."""
        with self._lock:
            if _now() - self._read_at >= WATCH_INTERVAL:
                self._read_record()
            holder, silence = self._holder, _now() - self._heartbeat_at
        if holder and holder.stopping:
            raise Cancelled("stopped")
        if holder is None or holder.released or silence > lease_record.HEARTBEAT_TIMEOUT:
            raise LeaseLost(f"{self._folder.uri}: the run that this process works for is gone; run the job to go on")

    def _read_record(self) -> None:
        begun = self._read_at = _now()
        try:
            self._holder = read_lease_record(self._folder, self._file)
        except StorageError:
            return  # it is the silence that tells when it has been too long
        if self._holder and self._holder.heartbeat != self._heartbeat:
            self._heartbeat, self._heartbeat_at = self._holder.heartbeat, begun
