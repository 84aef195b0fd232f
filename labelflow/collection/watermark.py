"""The watermark: how far the list of tasks was read. The next look, in whatever process, asks for what changed since.

It lies in `_ledger/watermark.json`, and is written by the process that writes answers, once they are written. A look
without it, or with an older one, costs more requests and finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError

from labelflow.scale.models import Task
from labelflow.storage.folder import Folder

FILE = "_ledger/watermark.json"
OVERLAP = timedelta(minutes=10)  # of two looks at the list: it may lag
RECOUNT_INTERVAL = timedelta(hours=1)  # one task out of a list, another one into it: that is not noticed


class Watermark(BaseModel):
    """How far the list was read.

    read_until: what had changed by then, by the service's own clock, was seen (contract B); None where it told no time.
    totals: how many tasks were in each list that was read to its end, by its filters (contract A); counted_at: since
    when they have been relied on.
    answers: how many tasks had come back then. Where there are fewer now, some were lost, and it means nothing.
    """

    read_until: AwareDatetime | None = None
    totals: dict[str, int] = {}
    counted_at: AwareDatetime | None = None
    answers: int = 0

    @property
    def since(self) -> datetime | None:
        """From when on the next look asks for changes; None for all of them. Never a time that is still to come."""
        return min(self.read_until, datetime.now(UTC)) - OVERLAP if self.read_until else None


def read(folder: Folder, answers: int) -> Watermark:
    """The watermark of a folder whose files hold so many answers; one that says nothing where it cannot be used."""
    content = folder.read(FILE)
    try:
        found = Watermark.model_validate_json(content) if content else Watermark()
    except ValidationError:
        return Watermark()
    now = datetime.now(UTC)
    if found.answers > answers or (found.read_until and found.read_until > now + OVERLAP):
        return Watermark()
    is_recent = found.counted_at is not None and abs(now - found.counted_at) < RECOUNT_INTERVAL
    return found if is_recent else found.model_copy(update={"totals": {}, "counted_at": None})


def write(folder: Folder, watermark: Watermark) -> None:
    """Write it down."""
    folder.write(FILE, watermark.model_dump_json().encode())


def newest(tasks: Iterable[Task]) -> datetime | None:
    """When one of the tasks changed last, by the service's own clock (UTC); a time that is still to come is none."""
    told = (task.updated_at or task.completed_at or task.created_at for task in tasks)
    now = datetime.now(UTC)
    return max((moment for moment in told if moment and moment <= now), default=None)
