"""What can go wrong between us and the Scale API.

    ScaleError
    ├── InvalidRequest          400  the request is wrong; sending it again gives the same answer
    ├── Unauthorized            401  the key is missing or unknown
    ├── Forbidden           402/403  the account may not do this (a task type that is not enabled)
    ├── NotFound                404  there is no such thing
    ├── Duplicate               409  another task holds this unique_id
    ├── TryAgain                     passing trouble; the same request may be answered later
    │   ├── RateLimited         429  too many requests
    │   ├── ServerTrouble   408/5xx  trouble on the server's side: what was asked may have been done or not
    │   ├── NotSent                  no connection could be made: nothing was asked
    │   └── AnswerLost               the connection broke or timed out: it may have been done or not
    └── UnexpectedAnswer             an answer that is not what the contract promises

`retriable` says whether trying again can help; `maybe_done` whether the server may have carried the request
out although no answer says so. Source: contract A "Errors", contract B "Errors".
"""

from __future__ import annotations


class ScaleError(Exception):
    """The Scale API did not do what was asked."""

    retryable = False
    outcome_unknown = False

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after  # seconds, where the server named them


class InvalidRequest(ScaleError):
    """400: the request is wrong; sending it again gives the same answer."""


class Unauthorized(ScaleError):
    """401: the key is missing or unknown."""


class Forbidden(ScaleError):
    """402 or 403: the account may not do this."""


class NotFound(ScaleError):
    """404: there is no such thing."""


class Duplicate(ScaleError):
    """409: another task holds this unique_id."""


class TransientError(ScaleError):
    """Passing trouble: the same request may be answered later."""

    retryable = True


class RateLimited(TransientError):
    """429: too many requests."""


class ServerError(TransientError):
    """408 or 5xx: what was asked may have been done or not."""

    outcome_unknown = True


class ConnectError(TransientError):
    """No connection could be made: nothing was asked."""


class ResponseLost(TransientError):
    """The connection broke, or no answer came in time: what was asked may have been done or not."""

    outcome_unknown = True


class InvalidResponse(ScaleError):
    """An answer that is not what the contract promises."""

    outcome_unknown = True


_BY_STATUS: dict[int, type[ScaleError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    402: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: ServerError,
    409: Duplicate,
    429: RateLimited,
}


def error_for_status(status: int, message: str, retry_after: float | None = None) -> ScaleError:
    """The error that an HTTP status other than 200 stands for."""
    if 300 <= status < 400:
        return ScaleError(f"the URL leads elsewhere (HTTP {status})", status)
    default_class = ServerError if status >= 500 else InvalidRequest if status >= 400 else InvalidResponse
    return _BY_STATUS.get(status, default_class)(message, status, retry_after)
