"""The kinds of faults, except those of requests, which are in `faults.requests.kinds`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultTarget(StrEnum):
    """What a fault affects. One request, task or callback has at most one fault."""

    REQUEST = "requests"
    TASK = "tasks"
    CALLBACK = "callbacks"
    LISTING = "listings"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A kind of fault.

    description: for `--help` and the documentation, where SECONDS is the time of the fault.
    seconds: the default of its time, None if it has no time.
    has_rate: whether it affects a share of the targets; False if it affects all of them.
    """

    name: str
    target: FaultTarget
    description: str
    seconds: float | None = None
    has_rate: bool = True

    @property
    def example(self) -> str:
        """How it is written in a specification."""
        if not self.has_rate:
            return f"{self.name}={self.seconds:g}s"
        return f"{self.name}=1%" if self.seconds is None else f"{self.name}=1%:{self.seconds:g}s"


LAG = FaultKind(
    name="lag",
    target=FaultTarget.LISTING,
    description="GET /tasks omits tasks created less than SECONDS ago; GET /task/{id} returns them",
    seconds=3,
    has_rate=False,
)
ERROR = FaultKind(name="error", target=FaultTarget.TASK, description="the task fails")
DEAD_ATTACHMENT = FaultKind(
    name="dead-attachment",
    target=FaultTarget.TASK,
    description="the task fails with the bad-attachment error: an attachment has become unavailable",
)
RECALL = FaultKind(
    name="recall",
    target=FaultTarget.TASK,
    description="SECONDS after its completion the task is pending again; after SECONDS more it has another answer",
    seconds=1,
)
LARGE_ANSWER = FaultKind(
    name="large-answer", target=FaultTarget.TASK, description="the answer has an additional field of 200 KB"
)
DUPLICATE_CALLBACK = FaultKind(
    name="duplicate-callback",
    target=FaultTarget.CALLBACK,
    description="the callback is sent again after SECONDS",
    seconds=0,
)
LATE_CALLBACK = FaultKind(
    name="late-callback", target=FaultTarget.CALLBACK, description="the callback is sent SECONDS late", seconds=2
)
OUT_OF_ORDER_CALLBACK = FaultKind(
    name="order",
    target=FaultTarget.CALLBACK,
    description="the callback is sent after the next one, or after SECONDS if there is no other",
    seconds=5,
)

FAULT_KINDS = (
    LAG,
    ERROR,
    DEAD_ATTACHMENT,
    RECALL,
    LARGE_ANSWER,
    DUPLICATE_CALLBACK,
    LATE_CALLBACK,
    OUT_OF_ORDER_CALLBACK,
)
