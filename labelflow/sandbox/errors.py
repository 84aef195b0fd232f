"""Error responses of the sandbox."""

from __future__ import annotations


class ApiError(Exception):
    """A request fails with an HTTP status and a message. Source: 2017 API, "Errors"."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
