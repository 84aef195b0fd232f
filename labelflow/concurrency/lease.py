"""Leases: who is at work in an output folder, so that two processes do not do what only one may.

Each holder has a file of its own, below `_ledger/runs/` (it creates tasks) or `_ledger/collectors/` (it writes
answers), and rewrites it every few seconds: its heartbeat. To take a lease is to write one's own file first and to
look for others after: of two that come at once, at least one sees the other. No clocks are compared: a holder is dead
when its process is no more on this machine, or when its heart stood still for as long as its lease lasts.

What a lease cannot promise stands in docs/guarantees.md.
"""

from __future__ import annotations

import random
import threading

from labelflow.concurrency import lease_record
from labelflow.concurrency.lease_record import (
    LeaseLost,
    LeaseRecord,
    _now,
    read_lease_record,
)
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import RunAborted, StorageError
from labelflow.scale.retry import Sleep
from labelflow.storage.folder import Folder

RUNS, COLLECTORS = "_ledger/runs/", "_ledger/collectors/"


class Lease:
    """A lease on a folder: an exclusive one keeps out all others, another one keeps out exclusive ones.

    longest_answer: seconds that a request of the holder's may be in the air.
    stop: where processes elsewhere work under this lease (see `LeaseWatcher`), what they are to stop for, too.
    left_behind: the holders that ended without giving their lease back, as of when this one was taken.
    """

    def __init__(
        self, folder: Folder, prefix: str, *, exclusive: bool, request_timeout: float, stop: StopToken | None = None
    ) -> None:
        self.abandoned: list[LeaseRecord] = []
        self._stop = stop
        self._folder = folder
        self._prefix = prefix
        seconds = lease_record.HEARTBEAT_TIMEOUT + request_timeout + lease_record.IN_FLIGHT_GRACE
        self._mine = LeaseRecord(exclusive=exclusive, timeout=seconds, has_workers=stop is not None)
        self._heartbeats: dict[str, tuple[int, float]] = {}  # id → heartbeat, and when it was first seen
        self._thread: threading.Thread | None = None
        self._released = threading.Event()
        self._renewed_at = 0.0
        self._lost = False

    @property
    def is_exclusive(self) -> bool:
        """Whether it keeps out all others."""
        return self._mine.exclusive

    @property
    def file(self) -> str:
        """The name of its file."""
        return self._file(self._mine)

    def try_acquire(self) -> LeaseRecord | None:
        """Take it. Returns the holder who keeps us out, None where it is ours now."""
        rival, _ = self._others()
        if rival is None:
            self._mine = self._mine.model_copy(update={"heartbeat": self._mine.heartbeat + 1, "released": False})
            self._write(self._mine)
            rival, gone = self._others()
            if rival is None:
                self._start(gone)
                return None
            self._folder.delete(self._file(self._mine))
        return rival

    def acquire(self, pause: Sleep) -> None:
        """Take it, as soon as a holder that may be dead is known to be. Raises RunAborted where it is alive."""
        first: dict[str, int] = {}
        while rival := self.try_acquire():
            if first.setdefault(rival.id, rival.heartbeat) != rival.heartbeat:
                raise RunAborted(
                    f"{self._folder.uri}: another run of this job is at work ({rival}); wait for it to end"
                )
            pause(random.uniform(0.2, 0.6))

    def check(self) -> None:
        """Raises LeaseLost where it was taken, and cannot be relied on any more."""
        if self._thread and (self._lost or _now() - self._renewed_at > lease_record.HEARTBEAT_TIMEOUT):
            raise LeaseLost(f"{self._folder.uri}: the lease on the folder is lost; run the same command to go on")

    def release(self, *, keep_record: bool = False) -> None:
        """Give it back. mark: leave the file, as a sign that something is left to be settled, since then."""
        if self._thread is None:
            return
        self._released.set()
        self._thread.join()
        self._thread = None
        if keep_record:
            unsettled = [self._mine, *self.abandoned]
            since, exclusive = min(one.since for one in unsettled), any(one.exclusive for one in unsettled)
            self._write(self._mine.model_copy(update={"released": True, "since": since, "exclusive": exclusive}))
            self.clear_abandoned()
        else:
            self._folder.delete(self._file(self._mine))

    def clear_abandoned(self) -> None:
        """Remove the files of those who left them behind: what they left is settled."""
        for holder in self.abandoned:
            self._folder.delete(self._file(holder))
        self.abandoned = []

    def _start(self, gone: list[LeaseRecord]) -> None:
        self.abandoned = gone
        for holder in gone:
            if not holder.released:  # should it be alive after all, it finds this
                self._write(holder.model_copy(update={"released": True}))
        self._lost = False
        self._renewed_at = _now()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._heartbeat_loop, name="lease", daemon=True)
        self._thread.start()

    def _heartbeat_loop(self) -> None:
        while not self._lost and not self._released.wait(lease_record.HEARTBEAT_INTERVAL):
            try:
                self._renew()
            except StorageError:
                continue  # `check` tells when it has been too long

    def _renew(self) -> None:
        begun = _now()
        current = self._read(self._file(self._mine))
        if current is None or current.released:
            self._lost = True
            return
        stopping = self._stop is not None and self._stop.is_set
        self._mine = self._mine.model_copy(update={"heartbeat": self._mine.heartbeat + 1, "stopping": stopping})
        self._write(self._mine)
        self._renewed_at = begun

    def _others(self) -> tuple[LeaseRecord | None, list[LeaseRecord]]:
        """A holder who keeps us out, and those who are gone."""
        names = [file.name for file in self._folder.list(self._prefix) if file.name != self._file(self._mine)]
        others = [holder for name in names if (holder := self._read(name))]
        gone = [holder for holder in others if holder.is_dead() or self._is_stale(holder)]
        at_work = [holder for holder in others if holder not in gone]
        return next((holder for holder in at_work if holder.exclusive or self._mine.exclusive), None), gone

    def _is_stale(self, holder: LeaseRecord) -> bool:
        beat, since = self._heartbeats.setdefault(holder.id, (holder.heartbeat, _now()))
        if beat != holder.heartbeat:
            self._heartbeats[holder.id] = (holder.heartbeat, _now())
            return False
        return _now() - since > holder.timeout

    def _file(self, holder: LeaseRecord) -> str:
        return f"{self._prefix}{holder.id}.json"

    def _read(self, name: str) -> LeaseRecord | None:
        return read_lease_record(self._folder, name)

    def _write(self, holder: LeaseRecord) -> None:
        self._folder.write(self._file(holder), holder.model_dump_json().encode())
