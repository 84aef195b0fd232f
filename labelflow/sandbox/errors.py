"""The one error of the sandbox: a request that is answered with something else than 200."""

from __future__ import annotations


class ApiError(Exception):
    """A request is refused, with an HTTP status and a sentence. Source: contract A "Errors"."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
