"""The file of a lease: who holds it, and its heartbeat."""

from __future__ import annotations

import os
import socket
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from labelflow.errors import RunAborted
from labelflow.storage.folder import Folder

HEARTBEAT_INTERVAL = 3.0
HEARTBEAT_TIMEOUT = 30.0  # without a heartbeat that was written: from then on the holder itself does nothing more
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
