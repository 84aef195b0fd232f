"""The watermark: how far the list of tasks was read. The next pass, in any process, asks only for later changes.

It is stored in `_ledger/watermark.json`. The process that writes answers updates it after they are durable. A pass
without a watermark, or with an older one, sends more requests and finds the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError

from labelflow.scale.models import Task
from labelflow.storage.folder import Folder

FILE = "_ledger/watermark.json"
DATE_RESOLUTION = timedelta(seconds=1)  # by which the server's time may be too early
OVERLAP = timedelta(minutes=10)  # of two passes, because the list may lag behind the tasks
RECOUNT_INTERVAL = timedelta(
    hours=1
)  # totals are not trusted for longer: one task added and one removed leaves them equal


class Watermark(BaseModel):
    """How far the list was read.

    read_until: all updates before this time were read (current API; the server's clock); None if the server sent none.
    totals: filters of a listing → the number of tasks in it when it was last read completely (2017 API).
    counted_at: since when `totals` has been in use; None if it is empty.
    answers: the number of answers in the folder at that time.
    """

    read_until: AwareDatetime | None = None
    totals: dict[str, int] = {}
    counted_at: AwareDatetime | None = None
    answers: int = 0

    def since(self, now: datetime) -> datetime | None:
        """Return the time from which the next pass asks for updates; None for all. now: the server's time."""
        return min(self.read_until, now + DATE_RESOLUTION) - OVERLAP if self.read_until else None


def read(folder: Folder, answers: int, now: datetime) -> Watermark:
    """Return the watermark of a folder, or an empty one if it is missing, invalid or outdated.

    answers: the number of answers in the folder. If the watermark counts more, some were lost, and it is not used.
    now: the server's time. A watermark from the future is not used. Raises StorageError.
    """
    content = folder.read(FILE)
    try:
        watermark = Watermark.model_validate_json(content) if content else Watermark()
    except ValidationError:
        return Watermark()
    if watermark.answers > answers or (watermark.read_until and watermark.read_until > now + OVERLAP):
        return Watermark()
    is_recent = watermark.counted_at is not None and abs(now - watermark.counted_at) < RECOUNT_INTERVAL
    return watermark if is_recent else watermark.model_copy(update={"totals": {}, "counted_at": None})


def write(folder: Folder, watermark: Watermark) -> None:
    """Write the watermark of a folder, durable on return. Raises StorageError."""
    folder.write(FILE, watermark.model_dump_json().encode())


def newest(tasks: Iterable[Task], now: datetime) -> datetime | None:
    """Return the latest change of any task (UTC, the server's clock), ignoring times after `now`; None without any.

    now: the server's time, see DATE_RESOLUTION.
    """
    end = now + DATE_RESOLUTION
    times = (task.updated_at or task.completed_at or task.created_at for task in tasks)
    return max((moment for moment in times if moment and moment <= end), default=None)
