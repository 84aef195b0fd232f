"""Why a run ends early.

    LabelflowError
    ├── UsageError             exit 2    the config or the manifest cannot be used; nothing was sent
    ├── Cancelled              exit 130  a person or a machine asked it to stop
    └── RunAborted             exit 1    it cannot go on; what is done is kept, the same command goes on from there
        ├── StorageError                 the manifest's or the output's store does not answer
        └── LimitExceeded                the job's own limits forbid going on

A problem with one row never ends a run: it becomes a rejected row (`labelflow.records.RejectedRow`).
"""

from __future__ import annotations


class LabelflowError(Exception):
    """The run ends early."""

    exit_status = 1


class UsageError(LabelflowError):
    """The config or the manifest cannot be used; nothing was sent."""

    exit_status = 2

    def __init__(self, where: str, reason: str, fix: str) -> None:
        super().__init__(f"{where}: {reason}; {fix}")
        self._arguments = where, reason, fix

    def __reduce__(self) -> tuple[type[UsageError], tuple[str, str, str]]:
        return type(self), self._arguments


class Cancelled(LabelflowError):
    """A person or a machine asked the run to stop."""

    exit_status = 130


class RunAborted(LabelflowError):
    """It cannot go on; what is done is kept, and the same command goes on from there."""


class StorageError(RunAborted):
    """The manifest's or the output's store does not answer."""


class LimitExceeded(RunAborted):
    """The job's own limits forbid going on."""
