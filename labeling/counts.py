"""What a run has done so far, for whoever shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """Numbers of rows, changed by many threads. `total` is 0 until the manifest has been read to its end."""

    total: int = 0
    read: int = 0
    checked: int = 0
    submitted: int = 0
    rejected: int = 0
    answered: int = 0
    labeled: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

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
