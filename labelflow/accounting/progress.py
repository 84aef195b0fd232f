"""What a run has done so far, for whoever shows it and for the summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class RunProgress:
    """Numbers of rows, changed by many threads."""

    total: int = 0  # of the manifest; 0 until it has been read to its end
    read: int = 0
    checked: int = 0  # bound and their attachments looked at, or found to need neither
    submitted: int = 0  # they have a task, from this run or an earlier one
    created: int = 0  # tasks that this run created
    recovered: int = 0  # tasks that this run found made already, and recorded
    changed: int = 0  # they have a task, ask something else by now, and are left alone
    rejected: int = 0
    over_cap: int = 0  # not submitted, because of the job's cap
    beyond_limit: int = 0  # not submitted, because of --limit
    outcome_unknown: int = 0  # sent, and no answer says whether a task was made
    finished: int = 0  # their task has come back
    labeled: int = 0
    first_invalid_response: str | None = None  # the first answer to a creation that was no task, in words
    outage: str | None = None  # in words, while the API does not answer and is waited for
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def not_submitted(self) -> int:
        """Rows that are good as far as is known, and have no task yet."""
        return self.over_cap + self.beyond_limit + self.outcome_unknown

    def add(self, **numbers: int) -> None:
        """Raise counts by so many rows."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Count the time spent inside as that stage's."""
        start = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.monotonic() - start, 3)
