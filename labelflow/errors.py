"""Why a run ends early.

    LabelingError
    ├── Unusable               exit 2  the config or the manifest cannot be used; nothing was sent
    ├── Stopped                exit 130  a person or a machine asked it to stop
    └── Interrupted            exit 1  it cannot go on; what is done is kept, the same command goes on from there
        ├── StoreTrouble               the manifest's or the output's store does not answer
        └── LimitReached               the job's own limits forbid going on

Trouble with one row never ends a run: it becomes a rejected row (`labelflow.records.Rejected`).
"""

from __future__ import annotations


class LabelingError(Exception):
    """The run ends early."""

    exit_status = 1


class Unusable(LabelingError):
    """The config or the manifest cannot be used; nothing was sent."""

    exit_status = 2

    def __init__(self, where: str, reason: str, fix: str) -> None:
        super().__init__(f"{where}: {reason}; {fix}")
        self._told = where, reason, fix

    def __reduce__(self) -> tuple[type[Unusable], tuple[str, str, str]]:
        return type(self), self._told


class Stopped(LabelingError):
    """A person or a machine asked the run to stop."""

    exit_status = 130


class Interrupted(LabelingError):
    """It cannot go on; what is done is kept, and the same command goes on from there."""


class StoreTrouble(Interrupted):
    """The manifest's or the output's store does not answer."""


class LimitReached(Interrupted):
    """The job's own limits forbid going on."""
