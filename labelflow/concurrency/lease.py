"""Leases on an output folder: they keep two processes from doing what only one may do at a time.

Each holder has its own record, below `_ledger/runs/` (it creates tasks) or `_ledger/collectors/` (it writes answers),
and rewrites it every few seconds: its heartbeat. A process acquires a lease by writing its record first and reading
the other records afterwards: of two concurrent processes, at least one sees the other. Clocks of machines are never
compared: a holder is dead if its process no longer exists on this machine, or if its record was not rewritten for the
timeout in it. The age of a record comes from the store's clock when it is first read, and is measured here afterwards:
so a process that has just started can tell that a holder in another container, or on a machine that no longer exists,
is dead.

docs/guarantees.md describes what a lease cannot guarantee.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from labelflow.concurrency import lease_record
from labelflow.concurrency.lease_record import LeaseLost, LeaseRecord, monotonic_seconds, read_lease_record
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import RunAborted, StorageError
from labelflow.scale.retry import Sleep
from labelflow.storage.folder import Folder

RUNS, COLLECTORS = "_ledger/runs/", "_ledger/collectors/"


def read_abandoned(folder: Folder, prefix: str) -> list[LeaseRecord]:
    """The records of holders that have ended without settling their work. prefix: RUNS or COLLECTORS."""
    return [record for record, has_ended in _read_records(folder, prefix) if has_ended]


def read_active(folder: Folder, prefix: str) -> list[LeaseRecord]:
    """The records of holders that may still be running. prefix: RUNS or COLLECTORS."""
    return [record for record, has_ended in _read_records(folder, prefix) if not has_ended]


def _read_records(folder: Folder, prefix: str) -> Iterator[tuple[LeaseRecord, bool]]:
    """Each record, and whether its holder has ended."""
    for file in folder.list(prefix):
        if record := read_lease_record(folder, file.name):
            yield record, record.is_dead() or (folder.age(file.name) or 0.0) > record.timeout


class Lease:
    """A lease on a folder: an exclusive one excludes all others, a shared one excludes only exclusive ones.

    prefix: folder of the records, RUNS or COLLECTORS.
    request_timeout: seconds that a request of the holder may be in flight.
    since: when the holder's first request may be sent, by the API's clock; None for a holder that creates no tasks.
    account: identifies the server and the key of a holder that creates tasks; see `LeaseRecord`.
    stop: if remote workers run under this lease (see `RunLeaseCheck`), the token that stops them.
    abandoned: records of holders that ended without releasing their lease, as of the acquisition of this one.

    Example:
        lease = Lease(folder, RUNS, exclusive=True, request_timeout=60)
        lease.acquire(stop.sleep)
        lease.check()  # before each write
        lease.release()
    """

    def __init__(
        self,
        folder: Folder,
        prefix: str,
        *,
        exclusive: bool,
        request_timeout: float,
        since: datetime | None = None,
        account: str = "",
        stop: StopToken | None = None,
    ) -> None:
        self.abandoned: list[LeaseRecord] = []
        self._stop = stop
        self._folder = folder
        self._prefix = prefix
        timeout = lease_record.HEARTBEAT_TIMEOUT + request_timeout + lease_record.IN_FLIGHT_GRACE
        self._record = LeaseRecord(
            since=since or datetime.now(UTC),
            exclusive=exclusive,
            timeout=timeout,
            has_workers=stop is not None,
            account=account,
        )
        self._heartbeats: dict[str, tuple[int, float]] = {}  # id → heartbeat, and when it was written
        self._thread: threading.Thread | None = None
        self._released = threading.Event()
        self._renewed_at = 0.0
        self._lost = False

    @property
    def file(self) -> str:
        """Name of the file of its record, relative to the folder."""
        return self._file(self._record)

    def try_acquire(self) -> LeaseRecord | None:
        """Acquire the lease if possible. Returns the record of a conflicting holder, None if it was acquired."""
        conflict, _ = self._read_others()
        if conflict is None:
            self._record = self._record.model_copy(update={"heartbeat": self._record.heartbeat + 1, "released": False})
            self._write(self._record)
            conflict, dead = self._read_others()
            if conflict is None:
                self._start(dead)
                return None
            self._folder.delete(self._file(self._record))
        return conflict

    def acquire(self, sleep: Sleep) -> None:
        """Acquire the lease; see `acquire_unless_active`. Raises RunAborted if another holder is active."""
        if active := self.acquire_unless_active(sleep):
            raise RunAborted(f"{self._folder.uri}: another run of this job is active ({active}); wait for it to finish")

    def acquire_unless_active(self, sleep: Sleep) -> LeaseRecord | None:
        """Acquire the lease, waiting until a conflicting holder has released it or is known to be dead.

        Returns the record of a conflicting holder as soon as its heartbeat changes, None if the lease was acquired.
        It waits at most for the timeout of a dead holder. Raises what `sleep` raises.
        """
        first_heartbeats: dict[str, int] = {}
        while conflict := self.try_acquire():
            if first_heartbeats.setdefault(conflict.id, conflict.heartbeat) != conflict.heartbeat:
                return conflict
            sleep(random.uniform(0.2, 0.6))
        return None

    def check(self) -> None:
        """Raise LeaseLost if the lease was acquired and is no longer valid. Call it before each write."""
        if self._thread and (self._lost or monotonic_seconds() - self._renewed_at > lease_record.HEARTBEAT_TIMEOUT):
            raise LeaseLost(f"{self._folder.uri}: the lease on the folder was lost; run the same command to continue")

    def release(self, *, keep_record: bool = False) -> None:
        """Release the lease. Does nothing if it is not held.

        keep_record: keep the record, marked as released, because some work since then is unsettled. It replaces
        the abandoned records.
        """
        if self._thread is None:
            return
        self._released.set()
        self._thread.join()
        self._thread = None
        if keep_record:
            unsettled = [self._record, *self.abandoned]
            update = {
                "released": True,
                "since": min(each.since for each in unsettled),
                "exclusive": any(each.exclusive for each in unsettled),
                "account": next((each.account for each in self.abandoned if each.account), self._record.account),
            }
            self._write(self._record.model_copy(update=update))
            self.clear_abandoned()
        else:
            self._folder.delete(self._file(self._record))

    def active(self) -> list[LeaseRecord]:
        """The records of the other holders that may still be running."""
        dead = {record.id for record in self.abandoned}
        names = [file.name for file in self._folder.list(self._prefix) if file.name != self.file]
        records = [record for name in names if (record := read_lease_record(self._folder, name))]
        return [record for record in records if record.id not in dead]

    def clear_abandoned(self) -> None:
        """Delete the abandoned records: the work of their holders is settled."""
        for record in self.abandoned:
            self._folder.delete(self._file(record))
        self.abandoned = []

    def _start(self, dead: list[LeaseRecord]) -> None:
        self.abandoned = dead
        for record in dead:
            if not record.released:  # if the holder is alive after all, its next heartbeat finds this
                self._write(record.model_copy(update={"released": True}))
        self._lost = False
        self._renewed_at = monotonic_seconds()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat_loop, name="lease", daemon=True)
        self._thread.start()

    def _heartbeat_loop(self) -> None:
        while not self._lost and not self._released.wait(lease_record.HEARTBEAT_INTERVAL):
            try:
                self._renew()
            except StorageError:
                continue  # `check` raises once the last heartbeat is too old

    def _renew(self) -> None:
        started = monotonic_seconds()
        current = self._read(self._file(self._record))
        if current is None or current.released:
            self._lost = True
            return
        stopping = self._stop is not None and self._stop.is_set
        self._record = self._record.model_copy(update={"heartbeat": self._record.heartbeat + 1, "stopping": stopping})
        self._write(self._record)
        self._renewed_at = started

    def _read_others(self) -> tuple[LeaseRecord | None, list[LeaseRecord]]:
        """A record that conflicts with this lease, if there is one, and the records of dead holders."""
        names = [file.name for file in self._folder.list(self._prefix) if file.name != self.file]
        others = [record for name in names if (record := self._read(name))]
        dead = [record for record in others if record.is_dead() or self._is_stale(record)]
        active = [record for record in others if record not in dead]
        return next((record for record in active if record.exclusive or self._record.exclusive), None), dead

    def _is_stale(self, record: LeaseRecord) -> bool:
        now = monotonic_seconds()
        if record.id not in self._heartbeats:
            self._heartbeats[record.id] = record.heartbeat, now - (self._folder.age(self._file(record)) or 0.0)
        heartbeat, written_at = self._heartbeats[record.id]
        if heartbeat != record.heartbeat:
            self._heartbeats[record.id] = record.heartbeat, now
            return False
        return now - written_at > record.timeout

    def _file(self, record: LeaseRecord) -> str:
        return f"{self._prefix}{record.id}.json"

    def _read(self, name: str) -> LeaseRecord | None:
        return read_lease_record(self._folder, name)

    def _write(self, record: LeaseRecord) -> None:
        self._folder.write(self._file(record), record.model_dump_json().encode())
