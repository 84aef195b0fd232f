"""The counts of a run so far, for the displays and the summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class RunProgress:
    """Numbers of rows. Thread-safe."""

    total: int = 0  # rows of the manifest; 0 until it is completely read
    read: int = 0
    checked: int = 0  # task request built and attachments probed, or neither is needed
    submitted: int = 0  # have a task, from this run or an earlier one
    created: int = 0  # tasks that this run created
    recovered: int = 0  # tasks that already existed and that this run recorded
    changed: int = 0  # changed since their task was created; not relabeled
    rejected: int = 0
    over_cap: int = 0  # not submitted because of the job's cap
    beyond_limit: int = 0  # not submitted because of --limit
    outcome_unknown: int = 0  # sent, but no response says whether a task was created
    finished: int = 0  # their task has finished
    labeled: int = 0
    first_invalid_response: str | None = None  # a description of the first invalid response to a task creation
    outage: str | None = None  # a description of the current API outage
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def not_submitted(self) -> int:
        """Rows without a task that are not known to be invalid."""
        return self.over_cap + self.beyond_limit + self.outcome_unknown

    def add(self, **numbers: int) -> None:
        """Add to counts: `progress.add(created=3, submitted=3)`."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to the seconds of a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.monotonic() - start, 3)
