"""Watch a lease from another process: a remote worker stops when the lease of its run ends."""

from __future__ import annotations

import threading

from labelflow.concurrency import lease_record
from labelflow.concurrency.lease_record import LeaseLost, LeaseRecord, monotonic_seconds, read_lease_record
from labelflow.errors import StopRequested, StorageError
from labelflow.storage.folder import Folder

WATCH_INTERVAL = 1.0  # seconds between two reads of the lease record


class RunLeaseCheck:
    """Lets a worker check whether the lease of its run still holds. Thread-safe.

    file: name of the lease record of the run, see `Lease.file`.
    """

    def __init__(self, folder: Folder, file: str) -> None:
        self._folder = folder
        self._file = file
        self._lock = threading.Lock()
        self._heartbeat = -1
        self._heartbeat_at = self._read_at = float("-inf")
        self._record: LeaseRecord | None = None

    def check(self) -> None:
        """Raise StopRequested if the run is stopping, LeaseLost if its lease was released or its heartbeat is stale.

        Call it before each request. It reads the record at most once per WATCH_INTERVAL.
        """
        with self._lock:
            if monotonic_seconds() - self._read_at >= WATCH_INTERVAL:
                self._read_record()
            record, heartbeat_age = self._record, monotonic_seconds() - self._heartbeat_at
        if record and record.stopping:
            raise StopRequested("stopped")
        if record is None or record.released or heartbeat_age > lease_record.HEARTBEAT_TIMEOUT:
            raise LeaseLost(f"{self._folder.uri}: the run of this worker has ended; run the job again to continue")

    def _read_record(self) -> None:
        started = self._read_at = monotonic_seconds()
        try:
            self._record = read_lease_record(self._folder, self._file)
        except StorageError:
            return  # `check` raises once the last heartbeat is too old
        if self._record and self._record.heartbeat != self._heartbeat:
            self._heartbeat, self._heartbeat_at = self._record.heartbeat, started
