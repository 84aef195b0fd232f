"""Why a file could not be downloaded."""

from __future__ import annotations

from labelflow.scale.errors import TransientError

RETRY_LATER = "run again later, or host the file elsewhere"


class DownloadFailed(Exception):
    """A file could not be downloaded: why, and what to do. Never contains the query of a URL."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.fix = fix


class HostUnreachable(DownloadFailed):
    """The host does not accept connections, or does not respond in time."""


class TransientFailure(TransientError):
    """A failure that may pass. failure: what to report if it does not. retry_after: seconds."""

    def __init__(self, failure: DownloadFailed, retry_after: float | None = None) -> None:
        super().__init__(failure.reason, retry_after=retry_after)
        self.failure = failure
