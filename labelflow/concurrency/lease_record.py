"""The file of a lease: which process holds it, and its heartbeat."""

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

HEARTBEAT_INTERVAL = 3.0  # seconds
HEARTBEAT_TIMEOUT = 30.0  # seconds after the last written heartbeat, after which the holder itself stops
IN_FLIGHT_GRACE = 10.0  # seconds, in addition to the request timeout, for requests in flight at that moment
MAX_TIMEOUT = 3600.0  # seconds; a longer one in a record is an error


class LeaseLost(RunAborted):
    """The lease was not renewed in time, or another process declared its holder dead."""


class LeaseRecord(BaseModel):
    """A process that holds a lease, or left its record behind.

    since: start of the lease, UTC; of a run by the API's clock, as the tasks that it may have created are looked for.
    machine: identifies machine, boot and pid namespace; only if it is equal can `pid` be checked.
    timeout: seconds without a new heartbeat after which other processes consider the holder dead.
    has_workers: remote workers run under this lease, and may outlive its process by some seconds.
    stopping: the remote workers have to stop.
    heartbeat: a counter, incremented at each renewal.
    released: the lease was given up; the record remains because some work is unsettled.
    account: identifies the API's server and key, see `account_digest`; empty for leases that create no tasks.
    """

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:16], pattern="^[0-9a-f]{16}$")
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    exclusive: bool
    host: str = Field(default_factory=socket.gethostname)
    machine: str = Field(default_factory=lambda: _machine_id())
    pid: int = Field(default_factory=os.getpid, gt=0, lt=2**31)
    timeout: float = Field(gt=0, le=MAX_TIMEOUT)
    has_workers: bool = False
    stopping: bool = False
    heartbeat: int = 0
    released: bool = False
    account: str = Field(default="", pattern="^[0-9a-f]*$")

    def is_dead(self) -> bool:
        """Whether the holder has certainly ended. False if it may still be running, for example on another machine."""
        return self.released or (not self.has_workers and self.machine == _machine_id() and not _is_running(self.pid))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def read_lease_record(folder: Folder, name: str) -> LeaseRecord | None:
    """Read a lease record; None if the file does not exist. Raises RunAborted if it is corrupt."""
    content = folder.read(name)
    try:
        return LeaseRecord.model_validate_json(content) if content else None
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{name} is corrupt; delete it once no run is active") from None


def _machine_id() -> str:
    """Identify this machine, its current boot and its pid namespace: a pid is meaningful only within all three."""
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


def monotonic_seconds() -> float:
    """A monotonic clock that, where the system supports it, continues while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
