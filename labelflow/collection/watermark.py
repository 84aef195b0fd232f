"""The watermark: how far the list of tasks was read. The next look, in whatever process, asks for what changed since.

It lies in `_ledger/watermark.json`, and is written by the process that writes answers, once they are written. A look
without it, or with an older one, costs more requests and finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError

from labelflow.scale.models import Task
from labelflow.storage.folder import Folder

FILE = "_ledger/watermark.json"
OVERLAP = timedelta(minutes=10)  # of two looks at the list: it may lag
RECOUNT_INTERVAL = timedelta(hours=1)  # one task out of a list, another one into it: that is not noticed


class Watermark(BaseModel):
    """How far the list was read.

    read_until: all updates until then were read, by the server's clock (current API); None if it gave no time.
    totals: how many tasks each completely read listing had, by its filters (2017 API). counted_at: since when these
    totals have been used.
    answers: how many answers the folder had then.
    """

    read_until: AwareDatetime | None = None
    totals: dict[str, int] = {}
    counted_at: AwareDatetime | None = None
    answers: int = 0

    def since(self, now: datetime) -> datetime | None:
        """The time from which the next pass asks for updates; None for all. now: the server's time, never exceeded."""
        return min(self.read_until, now) - OVERLAP if self.read_until else None


def read(folder: Folder, answers: int, now: datetime) -> Watermark:
    """The watermark of a folder; an empty one if it cannot be used. now: the server's time.

    answers: how many answers the folder has. If the watermark counts more, some were lost, and it is not used.
    """
    content = folder.read(FILE)
    try:
        found = Watermark.model_validate_json(content) if content else Watermark()
    except ValidationError:
        return Watermark()
    if found.answers > answers or (found.read_until and found.read_until > now + OVERLAP):
        return Watermark()
    is_recent = found.counted_at is not None and abs(now - found.counted_at) < RECOUNT_INTERVAL
    return found if is_recent else found.model_copy(update={"totals": {}, "counted_at": None})


def write(folder: Folder, watermark: Watermark) -> None:
    """Write the watermark of a folder."""
    folder.write(FILE, watermark.model_dump_json().encode())


def newest(tasks: Iterable[Task], now: datetime) -> datetime | None:
    """When one of the tasks changed last (UTC), by the server's clock; times after `now` do not count."""
    times = (task.updated_at or task.completed_at or task.created_at for task in tasks)
    return max((moment for moment in times if moment and moment <= now), default=None)
