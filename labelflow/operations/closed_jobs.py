"""Closed jobs: every row has ended, and the completion was reported. Later passes send no request for them.

`_ledger/closed.json` records the close, and a digest of the job's state at that time. A job is collected again when its
state has changed: new tasks, another manifest scan, stored callbacks. It is also checked again at growing intervals for
some days, because a completed task may be recalled and answered again. Remove the file to have a job collected at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError

from labelflow.accounting import manifest_totals
from labelflow.accounting.summary import Summary
from labelflow.callbacks.stored_callbacks import CALLBACKS
from labelflow.ledger.ledger_parts import SUBMISSIONS
from labelflow.storage.folder import Folder
from labelflow.tables.part_files import list_parts

FILE = "_ledger/closed.json"
RECHECK_PERIOD = timedelta(days=7)  # after the close, in which replaced answers are searched for
MIN_RECHECK_INTERVAL = timedelta(hours=1)  # between two of those checks
RECHECK_BACKOFF = 10  # the interval is at least the time since the close, divided by this


class ClosedRecord(BaseModel):
    """When a job was closed and last checked (UTC), the digest of its state (`digest_state`), and its counts."""

    closed_at: AwareDatetime
    checked_at: AwareDatetime
    state_digest: str
    rows: int
    labeled: int
    rejected: int
    error: int
    canceled: int

    def is_unchanged(self, current_digest: str, now: datetime) -> bool:
        """Whether the job's state is the recorded one, and no check is due."""
        return self.state_digest == current_digest and not self._is_due(now)

    def _is_due(self, now: datetime) -> bool:
        last = self.closed_at + RECHECK_PERIOD
        interval = max(MIN_RECHECK_INTERVAL, (self.checked_at - self.closed_at) / RECHECK_BACKOFF)
        return self.checked_at < last and now >= min(last, self.checked_at + interval)


Emit = Callable[[Folder, Summary], None]  # reports that a job is complete; raises if the report was not sent


def is_current(closed: ClosedRecord, folder: Folder) -> bool:
    """Whether a closed job can be skipped: nothing has changed since, and no check is due."""
    return closed.is_unchanged(current_state_digest(folder), datetime.now(UTC))


def record_run(folder: Folder, summary: Summary, emit: Emit) -> None:
    """Close a job at the end of a labeling run if every row has ended; see `record_pass`."""
    if summary.pending:
        return
    callback_files = pending_callback_files(folder) if summary.unmatched_callbacks else []
    _report_and_close(folder, summary, digest_state(ledger_digest(folder), callback_files), emit)


def record_pass(folder: Folder, summary: Summary | None, state_digest: str, emit: Emit, *, was_closed: bool) -> None:
    """Close a job after a collection pass if every row has ended, else reopen it.

    A completion that was not reported yet is emitted first and then recorded: it is emitted at least once. If `emit`
    raises, nothing is recorded, and the next pass emits it again.

    Args:
        summary: The counts after the pass; None if they are not known.
        state_digest: The digest of the state before the pass: what was recorded during the pass is left to the next.
        was_closed: Whether the job was closed before the pass.
    """
    if summary and not summary.pending:
        _report_and_close(folder, summary, state_digest, emit)
    elif was_closed:
        reopen(folder)


def _report_and_close(folder: Folder, summary: Summary, state_digest: str, emit: Emit) -> None:
    closed = read_closed(folder)
    if closed is None or closed.state_digest != state_digest:
        emit(folder, summary)
    close(folder, summary, state_digest)


def read_closed(folder: Folder) -> ClosedRecord | None:
    """Return the record of a closed job; None if the job is open, or the record is corrupt."""
    content = folder.read(FILE)
    try:
        return ClosedRecord.model_validate_json(content) if content else None
    except ValidationError:
        return None


def close(folder: Folder, summary: Summary, state_digest: str) -> None:
    """Close a job, or record that a closed one was checked. state_digest: of the state before the pass."""
    now, before = datetime.now(UTC), read_closed(folder)
    closed_at = before.closed_at if before and before.state_digest == state_digest else now
    counts = {name: getattr(summary, name) for name in ("rows", "labeled", "rejected", "error", "canceled")}
    closed = ClosedRecord(closed_at=closed_at, checked_at=now, state_digest=state_digest, **counts)
    folder.write(FILE, closed.model_dump_json(indent=2).encode())


def reopen(folder: Folder) -> None:
    """Remove the record of a job that has pending rows again."""
    folder.delete(FILE)


def ledger_digest(folder: Folder) -> str:
    """Return a digest of what is recorded: the parts of the ledger, and the totals of the last manifest scan."""
    names = "\n".join(list_parts(folder, SUBMISSIONS))
    return _digest(names.encode(), folder.read(manifest_totals.FILE) or b"")


def digest_state(recorded: str, callbacks: Iterable[str]) -> str:
    """Return the digest of a job's state: a `ledger_digest`, and the names of the stored callback files."""
    return _digest(recorded.encode(), "\n".join(sorted(callbacks)).encode())


def current_state_digest(folder: Folder) -> str:
    """Return the digest of a job's current state."""
    return digest_state(ledger_digest(folder), pending_callback_files(folder))


def pending_callback_files(folder: Folder) -> list[str]:
    """Return the callback files that are not collected yet, or whose tasks are not in the ledger."""
    return [file.name for file in folder.list(CALLBACKS)]


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]
