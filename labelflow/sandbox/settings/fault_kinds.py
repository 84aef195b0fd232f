"""What a fault is, and those that do not meet requests (which are in `requests`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """What a fault meets. One request, task or callback meets at most one fault."""

    REQUEST = "requests"
    TASK = "tasks"
    CALLBACK = "callbacks"
    LISTING = "listings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault.

    seconds: how long it takes where the specification does not say; None where it takes no time.
    has_rate: False for one that is always there, for so many seconds.
    """

    name: str
    target: Target
    meaning: str
    seconds: float | None = None
    has_rate: bool = True

    @property
    def example(self) -> str:
        """How it is asked for."""
        if not self.has_rate:
            return f"{self.name}={self.seconds:g}s"
        return f"{self.name}=1%" if self.seconds is None else f"{self.name}=1%:{self.seconds:g}s"


LAG = Kind(
    name="lag",
    target=Target.LISTING,
    meaning="GET /tasks leaves out tasks created so few seconds ago; GET /task/{id} shows them",
    seconds=3,
    has_rate=False,
)
ERROR = Kind(name="error", target=Target.TASK, meaning="the task ends with an error")
DEAD_ATTACHMENT = Kind(
    name="dead-attachment",
    target=Target.TASK,
    meaning="an attachment is gone when people look: the task ends with the bad-attachment error",
)
RECALL = Kind(
    name="recall",
    target=Target.TASK,
    meaning="so long after its completion the task is pending again, for as long, and then has another answer",
    seconds=1,
)
DUPLICATE_CALLBACK = Kind(
    name="duplicate-callback", target=Target.CALLBACK, meaning="it is sent a second time, so much later", seconds=0
)
LATE_CALLBACK = Kind(name="late-callback", target=Target.CALLBACK, meaning="it is sent so much later", seconds=2)
ORDER = Kind(
    name="order",
    target=Target.CALLBACK,
    meaning="it is sent after the next one, or so much later where no other comes",
    seconds=5,
)

KINDS = (LAG, ERROR, DEAD_ATTACHMENT, RECALL, DUPLICATE_CALLBACK, LATE_CALLBACK, ORDER)
