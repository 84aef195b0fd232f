"""What the sandbox can be told at its start."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from labelflow.sandbox.settings.api_version import API_CURRENT, ApiVersion
from labelflow.sandbox.settings.fault_spec import FaultSpec

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Turnaround:
    """How long people take over a live task, in seconds: between `low` and `high`."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Turnaround:
        """Read `30` or `60-300`. Raises ValueError where it is neither."""
        low, _, high = text.partition("-")
        turnaround = cls(float(low), float(high or low))
        if not 0 <= turnaround.low <= turnaround.high < float("inf"):
            raise ValueError("the turnaround must not be negative, and its first number not above the second")
        return turnaround

    def seconds_for(self, task_id: str) -> float:
        """The seconds that one task takes: the same whenever it is asked for."""
        return random.Random(task_id).uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of one sandbox.

    url: where it listens, without a path.
    database: the SQLite file, None to keep everything in memory.
    default_callback: where answers go to that name no `callback_url`; None makes `callback_url` required.
    callback_day: seconds that the 24 hours of callback retries take.
    faults: what goes wrong on purpose.
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
        """The sandbox's own receiver of callbacks, which forgets what it is given."""
        return f"{self.url}/callback-sink"
