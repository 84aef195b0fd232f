"""The options of a sandbox."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from labelflow.sandbox.settings.api_version import API_CURRENT, ApiVersion
from labelflow.sandbox.settings.fault_spec import FaultSpec

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Turnaround:
    """The time until a live task is answered: from `low` to `high` seconds."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Turnaround:
        """Parse `30` or `60-300`. Raises ValueError for anything else.

        >>> Turnaround.parse("60-300")
        Turnaround(low=60.0, high=300.0)
        """
        low, _, high = text.partition("-")
        turnaround = cls(float(low), float(high or low))
        if not 0 <= turnaround.low <= turnaround.high < float("inf"):
            raise ValueError("the numbers must be finite, not negative, and in ascending order")
        return turnaround

    def seconds_for(self, task_id: str) -> float:
        """Return the seconds for a task; always the same for one task id."""
        return random.Random(task_id).uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one sandbox.

    url: the URL that it listens on, without a path.
    database: the SQLite file, None for a database in memory.
    default_callback: the callback URL of tasks without a `callback_url`; None makes `callback_url` required.
    callback_day: duration of the 24 hours of callback retries in seconds.
    faults: the faults to inject, None for none.
    """

    url: str
    database: Path | None = None
    turnaround: Turnaround = Turnaround(60, 60)
    api_version: ApiVersion = API_CURRENT
    default_callback: str | None = None
    callback_day: float = DAY_SECONDS
    faults: FaultSpec | None = None

    @property
    def sink_url(self) -> str:
        """The sandbox's own callback receiver, which discards the callbacks."""
        return f"{self.url}/callback-sink"
