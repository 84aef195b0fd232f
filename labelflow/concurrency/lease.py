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

from labelflow.concurrency.stop_token import Stop
from labelflow.errors import Interrupted, Stopped, StoreTrouble
from labelflow.scale.retry import Pause
from labelflow.storage.folder import Folder

RUNS, COLLECTORS = "_ledger/runs/", "_ledger/collectors/"
BEAT_SECONDS = 3.0
SAFE_SECONDS = 30.0  # without a heartbeat that was written: from then on the holder itself does nothing more
LOOK_SECONDS = 1.0  # between two looks of a tenant at the lease that it works under
LANDING_SECONDS = 10.0  # for what was in the air at that moment, on top of the time that an answer may take


class LeaseLost(Interrupted):
    """The lease could not be renewed in time, or another process has taken it over."""


class Holder(BaseModel):
    """A process that holds a lease, or left its file behind. `since` is in UTC, by its own clock."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:16])
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    exclusive: bool
    host: str = Field(default_factory=socket.gethostname)
    machine: str = Field(default_factory=lambda: _machine())
    pid: int = Field(default_factory=os.getpid)
    seconds: float  # that it lasts without a heartbeat
    spread: bool = False  # processes elsewhere work for it, and may outlive this one by a while
    stopping: bool = False  # they are to stop
    beat: int = 0
    ended: bool = False  # it left, and left the file as a mark

    def is_gone(self) -> bool:
        """Whether it is sure to be at work no more."""
        return self.ended or (not self.spread and self.machine == _machine() and not _is_running(self.pid))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class Lease:
    """A lease on a folder: an exclusive one keeps out all others, another one keeps out exclusive ones.

    longest_answer: seconds that a request of the holder's may be in the air.
    stop: where processes elsewhere work under this lease (see `Tenant`), what they are to stop for, too.
    left_behind: the holders that ended without giving their lease back, as of when this one was taken.
    """

    def __init__(
        self, folder: Folder, prefix: str, *, exclusive: bool, longest_answer: float, stop: Stop | None = None
    ) -> None:
        self.left_behind: list[Holder] = []
        self._stop = stop
        self._folder = folder
        self._prefix = prefix
        seconds = SAFE_SECONDS + longest_answer + LANDING_SECONDS
        self._mine = Holder(exclusive=exclusive, seconds=seconds, spread=stop is not None)
        self._seen: dict[str, tuple[int, float]] = {}  # id → heartbeat, and when it was first seen
        self._heart: threading.Thread | None = None
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

    def try_take(self) -> Holder | None:
        """Take it. Returns the holder who keeps us out, None where it is ours now."""
        rival, _ = self._others()
        if rival is None:
            self._mine = self._mine.model_copy(update={"beat": self._mine.beat + 1, "ended": False})
            self._write(self._mine)
            rival, gone = self._others()
            if rival is None:
                self._begin(gone)
                return None
            self._folder.delete(self._file(self._mine))
        return rival

    def take(self, pause: Pause) -> None:
        """Take it, as soon as a holder that may be dead is known to be. Raises Interrupted where it is alive."""
        first: dict[str, int] = {}
        while rival := self.try_take():
            if first.setdefault(rival.id, rival.beat) != rival.beat:
                raise Interrupted(
                    f"{self._folder.uri}: another run of this job is at work ({rival}); wait for it to end"
                )
            pause(random.uniform(0.2, 0.6))

    def check(self) -> None:
        """Raises LeaseLost where it was taken, and cannot be relied on any more."""
        if self._heart and (self._lost or _now() - self._renewed_at > SAFE_SECONDS):
            raise LeaseLost(f"{self._folder.uri}: the lease on the folder is lost; run the same command to go on")

    def release(self, *, mark: bool = False) -> None:
        """Give it back. mark: leave the file, as a sign that something is left to be settled, since then."""
        if self._heart is None:
            return
        self._released.set()
        self._heart.join()
        self._heart = None
        if mark:
            unsettled = [self._mine, *self.left_behind]
            since, exclusive = min(one.since for one in unsettled), any(one.exclusive for one in unsettled)
            self._write(self._mine.model_copy(update={"ended": True, "since": since, "exclusive": exclusive}))
            self.forget_left_behind()
        else:
            self._folder.delete(self._file(self._mine))

    def forget_left_behind(self) -> None:
        """Remove the files of those who left them behind: what they left is settled."""
        for holder in self.left_behind:
            self._folder.delete(self._file(holder))
        self.left_behind = []

    def _begin(self, gone: list[Holder]) -> None:
        self.left_behind = gone
        for holder in gone:
            if not holder.ended:  # should it be alive after all, it finds this
                self._write(holder.model_copy(update={"ended": True}))
        self._lost = False
        self._renewed_at = _now()
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._heart.start()

    def _beat(self) -> None:
        while not self._lost and not self._released.wait(BEAT_SECONDS):
            try:
                self._renew()
            except StoreTrouble:
                continue  # `check` tells when it has been too long

    def _renew(self) -> None:
        begun = _now()
        current = self._read(self._file(self._mine))
        if current is None or current.ended:
            self._lost = True
            return
        stopping = self._stop is not None and self._stop.is_set
        self._mine = self._mine.model_copy(update={"beat": self._mine.beat + 1, "stopping": stopping})
        self._write(self._mine)
        self._renewed_at = begun

    def _others(self) -> tuple[Holder | None, list[Holder]]:
        """A holder who keeps us out, and those who are gone."""
        names = [file.name for file in self._folder.list(self._prefix) if file.name != self._file(self._mine)]
        others = [holder for name in names if (holder := self._read(name))]
        gone = [holder for holder in others if holder.is_gone() or self._stood_still(holder)]
        at_work = [holder for holder in others if holder not in gone]
        return next((holder for holder in at_work if holder.exclusive or self._mine.exclusive), None), gone

    def _stood_still(self, holder: Holder) -> bool:
        beat, since = self._seen.setdefault(holder.id, (holder.beat, _now()))
        if beat != holder.beat:
            self._seen[holder.id] = (holder.beat, _now())
            return False
        return _now() - since > holder.seconds

    def _file(self, holder: Holder) -> str:
        return f"{self._prefix}{holder.id}.json"

    def _read(self, name: str) -> Holder | None:
        return read_holder(self._folder, name)

    def _write(self, holder: Holder) -> None:
        self._folder.write(self._file(holder), holder.model_dump_json().encode())


class Tenant:
    """A process elsewhere, at work under the lease of another one. Threads may share it.

    It stops when the lease is given up, when it is told to, or when the holder's heart has stood still for too long.
    """

    def __init__(self, folder: Folder, file: str) -> None:
        self._folder = folder
        self._file = file
        self._lock = threading.Lock()
        self._beat = -1
        self._beat_at = self._looked_at = float("-inf")
        self._holder: Holder | None = None

    def check(self) -> None:
        """Raises Stopped or LeaseLost where nothing more may be sent."""
        with self._lock:
            if _now() - self._looked_at >= LOOK_SECONDS:
                self._look()
            holder, silence = self._holder, _now() - self._beat_at
        if holder and holder.stopping:
            raise Stopped("stopped")
        if holder is None or holder.ended or silence > SAFE_SECONDS:
            raise LeaseLost(f"{self._folder.uri}: the run that this process works for is gone; run the job to go on")

    def _look(self) -> None:
        begun = self._looked_at = _now()
        try:
            self._holder = read_holder(self._folder, self._file)
        except StoreTrouble:
            return  # it is the silence that tells when it has been too long
        if self._holder and self._holder.beat != self._beat:
            self._beat, self._beat_at = self._holder.beat, begun


def read_holder(folder: Folder, name: str) -> Holder | None:
    """The holder whose file that is; None where it is gone."""
    content = folder.read(name)
    try:
        return Holder.model_validate_json(content) if content else None
    except ValidationError:
        raise Interrupted(f"{folder.uri}/{name} is damaged; remove it when no run is at work") from None


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
