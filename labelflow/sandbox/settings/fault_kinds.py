"""What a fault is, and those that do not meet requests (which are in `requests`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultTarget(StrEnum):
    """What a fault meets. One request, task or callback meets at most one fault."""

    REQUEST = "requests"
    TASK = "tasks"
    CALLBACK = "callbacks"
    LISTING = "listings"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A kind of fault.

    seconds: how long it takes where the specification does not say; None where it takes no time.
    has_rate: False for one that is always there, for so many seconds.
    """

    name: str
    target: FaultTarget
    description: str
    seconds: float | None = None
    has_rate: bool = True

    @property
    def example(self) -> str:
        """How it is asked for."""
        if not self.has_rate:
            return f"{self.name}={self.seconds:g}s"
        return f"{self.name}=1%" if self.seconds is None else f"{self.name}=1%:{self.seconds:g}s"


LAG = FaultKind(
    name="lag",
    target=FaultTarget.LISTING,
    description="GET /tasks leaves out tasks created so few seconds ago; GET /task/{id} shows them",
    seconds=3,
    has_rate=False,
)
ERROR = FaultKind(name="error", target=FaultTarget.TASK, description="the task ends with an error")
DEAD_ATTACHMENT = FaultKind(
    name="dead-attachment",
    target=FaultTarget.TASK,
    description="an attachment is gone when people look: the task ends with the bad-attachment error",
)
RECALL = FaultKind(
    name="recall",
    target=FaultTarget.TASK,
    description="so long after its completion the task is pending again, for as long, and then has another answer",
    seconds=1,
)
DUPLICATE_CALLBACK = FaultKind(
    name="duplicate-callback",
    target=FaultTarget.CALLBACK,
    description="it is sent a second time, so much later",
    seconds=0,
)
LATE_CALLBACK = FaultKind(
    name="late-callback", target=FaultTarget.CALLBACK, description="it is sent so much later", seconds=2
)
OUT_OF_ORDER_CALLBACK = FaultKind(
    name="order",
    target=FaultTarget.CALLBACK,
    description="it is sent after the next one, or so much later where no other comes",
    seconds=5,
)

FAULT_KINDS = (LAG, ERROR, DEAD_ATTACHMENT, RECALL, DUPLICATE_CALLBACK, LATE_CALLBACK, OUT_OF_ORDER_CALLBACK)
