"""Leases: who is at work in an output folder, so that two processes do not do what only one may.

Each holder has a file of its own, below `_ledger/runs/` (it creates tasks) or `_ledger/collectors/` (it writes
answers), and rewrites it every few seconds: its heartbeat. To take a lease is to write one's own file first and to
look for others after: of two that come at once, at least one sees the other. No clocks are compared: a holder is dead
when its process is no more on this machine, or when its heart stood still for as long as its lease lasts.

What a lease cannot promise stands in docs/guarantees.md.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import Cancelled, RunAborted, StorageError
from labelflow.scale.retry import Sleep
from labelflow.storage.folder import Folder

RUNS, COLLECTORS = "_ledger/runs/", "_ledger/collectors/"
HEARTBEAT_INTERVAL = 3.0
HEARTBEAT_TIMEOUT = 30.0  # without a heartbeat that was written: from then on the holder itself does nothing more
WATCH_INTERVAL = 1.0  # between two looks of a tenant at the lease that it works under
IN_FLIGHT_GRACE = 10.0  # for what was in the air at that moment, on top of the time that an answer may take


class LeaseLost(RunAborted):
    """The lease could not be renewed in time, or another process has taken it over."""


class LeaseRecord(BaseModel):
    """A process that holds a lease, or left its file behind. `text` is in UTC, by its own clock."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:16])
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    exclusive: bool
    host: str = Field(default_factory=socket.gethostname)
    machine: str = Field(default_factory=lambda: _machine())
    pid: int = Field(default_factory=os.getpid)
    timeout: float  # that it lasts without a heartbeat
    has_workers: bool = False  # processes elsewhere work for it, and may outlive this one by a while
    stopping: bool = False  # they are to stop
    heartbeat: int = 0
    released: bool = False  # it left, and left the file as a mark

    def is_dead(self) -> bool:
        """Whether it is sure to be at work no more."""
        return self.released or (not self.has_workers and self.machine == _machine() and not _is_running(self.pid))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


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
        seconds = HEARTBEAT_TIMEOUT + request_timeout + IN_FLIGHT_GRACE
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
        if self._thread and (self._lost or _now() - self._renewed_at > HEARTBEAT_TIMEOUT):
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
        while not self._lost and not self._released.wait(HEARTBEAT_INTERVAL):
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
        if holder is None or holder.released or silence > HEARTBEAT_TIMEOUT:
            raise LeaseLost(f"{self._folder.uri}: the run that this process works for is gone; run the job to go on")

    def _read_record(self) -> None:
        begun = self._read_at = _now()
        try:
            self._holder = read_lease_record(self._folder, self._file)
        except StorageError:
            return  # it is the silence that tells when it has been too long
        if self._holder and self._holder.heartbeat != self._heartbeat:
            self._heartbeat, self._heartbeat_at = self._holder.heartbeat, begun


def read_lease_record(folder: Folder, name: str) -> LeaseRecord | None:
    """The holder whose file that is; None where it is gone."""
    content = folder.read(name)
    try:
        return LeaseRecord.model_validate_json(content) if content else None
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{name} is damaged; remove it when no run is at work") from None


def _machine() -> str:
    """Names this machine, this boot of it, and this space of process ids: elsewhere a pid means nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _now() -> float:
    """Seconds that go on while the machine sleeps, where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
