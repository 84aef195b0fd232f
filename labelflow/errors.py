"""The exceptions that end a run early.

    LabelflowError
    ├── InvalidInput             exit 2    the config or the manifest is invalid; nothing was sent
    │   └── OtherMode                    the key is for the other mode, test or live
    ├── StopRequested          exit 130  a user or another process requested a stop
    └── RunAborted             exit 1    the run cannot continue; the same command resumes it later
        ├── StorageError                 the store of the manifest or of the output does not respond
        │   └── FileGone                 a listed file does not exist any more
        ├── NotRecorded                  tasks were created and could not be recorded
        └── TooManyUnlabeled             a limit of the job is reached

A problem with one row never ends a run: it becomes a rejected row (`labelflow.records.RejectedRow`).
"""

from __future__ import annotations


class LabelflowError(Exception):
    """The base class: a run ends early. `exit_status` is that of the command."""

    exit_status = 1


class InvalidInput(LabelflowError):
    """The config or the manifest is invalid; nothing was sent.

    location: the file, row or field. reason: what is wrong. fix: what would be right.

    Example:
        InvalidInput("job.yaml", "has no name", "add `name`")  # job.yaml: has no name; add `name`
    """

    exit_status = 2

    def __init__(self, location: str, reason: str, fix: str) -> None:
        super().__init__(f"{location}: {reason}; {fix}")
        self._arguments = location, reason, fix

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, str, str]]:
        return type(self), self._arguments


class OtherMode(InvalidInput):
    """The key is for the other mode, test or live, than the job."""


class StopRequested(LabelflowError):
    """A user or another process requested a stop."""

    exit_status = 130


class RunAborted(LabelflowError):
    """The run cannot continue. Finished work is kept; the same command resumes from there."""


class StorageError(RunAborted):
    """The store of the manifest or of the output does not respond."""


class FileGone(StorageError):
    """A file that was listed does not exist any more: another process has merged or replaced it."""


class NotRecorded(RunAborted):
    """Tasks were created and could not be recorded. The next run finds them.

    output: the output folder. tasks: their number. cause: why they could not be recorded.
    """

    def __init__(self, output: str, tasks: int, cause: Exception) -> None:
        reason = str(cause) if isinstance(cause, LabelflowError) else repr(cause)
        super().__init__(
            f"{output}: {tasks:,} tasks were created and could not be recorded ({reason}); no further task was "
            "created. Run the same command again: it finds them and creates none twice"
        )
        self._arguments = output, tasks, cause

    def __reduce__(self) -> tuple[type[NotRecorded], tuple[str, int, Exception]]:
        return type(self), self._arguments


class TooManyUnlabeled(RunAborted):
    """A limit of the job is reached."""
