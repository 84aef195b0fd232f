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
from labelflow.callbacks.spool import CALLBACKS
from labelflow.ledger.parts import SUBMISSIONS
from labelflow.storage.folder import Folder
from labelflow.tables.parts import list_parts

FILE = "_ledger/closed.json"
RECHECK_PERIOD = timedelta(days=7)  # after the close, in which answers that were replaced are looked for
MIN_RECHECK_INTERVAL = timedelta(hours=1)  # between two of those looks
RECHECK_BACKOFF = 10  # the pause before such a look is this part of the time since the close, or longer


class ClosedRecord(BaseModel):
    """When a job was closed and last looked at (UTC), what was there (see `digest_state`), and how its rows ended."""

    closed_at: AwareDatetime
    checked_at: AwareDatetime
    state_digest: str
    rows: int
    labeled: int
    rejected: int
    error: int
    canceled: int

    def is_unchanged(self, now_there: str, now: datetime) -> bool:
        """Whether the job is to be left alone; now_there: the mark of what is there now."""
        return self.state_digest == now_there and not self._is_due(now)

    def _is_due(self, now: datetime) -> bool:
        last = self.closed_at + RECHECK_PERIOD
        pause = max(MIN_RECHECK_INTERVAL, (self.checked_at - self.closed_at) / RECHECK_BACKOFF)
        return self.checked_at < last and now >= min(last, self.checked_at + pause)


def read_closed(folder: Folder) -> ClosedRecord | None:
    """What was written when the job was closed; None where it is open, or that cannot be read."""
    content = folder.read(FILE)
    try:
        return ClosedRecord.model_validate_json(content) if content else None
    except ValidationError:
        return None


def close(folder: Folder, summary: Summary, mark: str) -> None:
    """Close a job, or note that a closed one was looked at. mark: of what was there before it was looked at."""
    now, before = datetime.now(UTC), read_closed(folder)
    closed_at = before.closed_at if before and before.state_digest == mark else now
    counts = {name: getattr(summary, name) for name in ("rows", "labeled", "rejected", "error", "canceled")}
    closed = ClosedRecord(closed_at=closed_at, checked_at=now, state_digest=mark, **counts)
    folder.write(FILE, closed.model_dump_json(indent=2).encode())


def reopen(folder: Folder) -> None:
    """Something is waited for again."""
    folder.delete(FILE)


def ledger_digest(folder: Folder) -> str:
    """What was recorded in a folder, as a digest: the parts of the ledger, and the last walk through the manifest."""
    names = "\n".join(list_parts(folder, SUBMISSIONS))
    return _digest(names.encode(), folder.read(manifest_totals.FILE) or b"")


def digest_state(recorded: str, callbacks: Iterable[str]) -> str:
    """What a closed job has to do with, as a digest: what was recorded, and the files of callbacks that are left."""
    return _digest(recorded.encode(), "\n".join(sorted(callbacks)).encode())


def current_state_digest(folder: Folder) -> str:
    """The mark of what is there now."""
    return digest_state(ledger_digest(folder), pending_callback_files(folder))


def pending_callback_files(folder: Folder) -> list[str]:
    """The files of callbacks that are to be taken over, or belong to tasks that nobody knows."""
    return [file.name for file in folder.list(CALLBACKS)]


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]
