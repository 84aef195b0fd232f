"""Closed jobs: every row has ended, and that was told. A later pass over the jobs asks nothing about them.

`_ledger/closed.json` says so, and what was there then. A job is looked after again when something else is there: tasks
that were recorded since, another walk through the manifest, callbacks that wait. And for some days now and then all the
same, for a completed task may be recalled and answered anew. Remove the file to have a job looked after at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError

from labelflow.accounting import manifest_totals
from labelflow.accounting.summary import Summary
from labelflow.callbacks.callback import CALLBACKS
from labelflow.ledger.parts import SUBMISSIONS
from labelflow.storage.folder import Folder
from labelflow.tables.schemas import parts

FILE = "_ledger/closed.json"
RECALLS = timedelta(days=7)  # after the close, in which answers that were replaced are looked for
SOONEST = timedelta(hours=1)  # between two of those looks
SHARE = 10  # the pause before such a look is this part of the time since the close, or longer


class Closed(BaseModel):
    """When a job was closed and last looked at (UTC), what was there (see `mark`), and how its rows ended."""

    closed_at: AwareDatetime
    looked_at: AwareDatetime
    mark: str
    rows: int
    labeled: int
    rejected: int
    error: int
    canceled: int

    def rests(self, now_there: str, now: datetime) -> bool:
        """Whether the job is to be left alone; now_there: the mark of what is there now."""
        return self.mark == now_there and not self._is_due(now)

    def _is_due(self, now: datetime) -> bool:
        last = self.closed_at + RECALLS
        pause = max(SOONEST, (self.looked_at - self.closed_at) / SHARE)
        return self.looked_at < last and now >= min(last, self.looked_at + pause)


def read_closed(folder: Folder) -> Closed | None:
    """What was written when the job was closed; None where it is open, or that cannot be read."""
    content = folder.read(FILE)
    try:
        return Closed.model_validate_json(content) if content else None
    except ValidationError:
        return None


def close(folder: Folder, summary: Summary, mark: str) -> None:
    """Close a job, or note that a closed one was looked at. mark: of what was there before it was looked at."""
    now, before = datetime.now(UTC), read_closed(folder)
    closed_at = before.closed_at if before and before.mark == mark else now
    counts = {name: getattr(summary, name) for name in ("rows", "labeled", "rejected", "error", "canceled")}
    closed = Closed(closed_at=closed_at, looked_at=now, mark=mark, **counts)
    folder.write(FILE, closed.model_dump_json(indent=2).encode())


def reopen(folder: Folder) -> None:
    """Something is waited for again."""
    folder.delete(FILE)


def recorded(folder: Folder) -> str:
    """What was recorded in a folder, as a digest: the parts of the ledger, and the last walk through the manifest."""
    names = "\n".join(parts(folder, SUBMISSIONS))
    return _digest(names.encode(), folder.read(manifest_totals.FILE) or b"")


def mark(recorded: str, callbacks: Iterable[str]) -> str:
    """What a closed job has to do with, as a digest: what was recorded, and the files of callbacks that are left."""
    return _digest(recorded.encode(), "\n".join(sorted(callbacks)).encode())


def mark_now(folder: Folder) -> str:
    """The mark of what is there now."""
    return mark(recorded(folder), waiting_callbacks(folder))


def waiting_callbacks(folder: Folder) -> list[str]:
    """The files of callbacks that are to be taken over, or belong to tasks that nobody knows."""
    return [file.name for file in folder.list(CALLBACKS)]


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]
