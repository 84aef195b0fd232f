"""Errors of calls to the Scale API.

    ScaleError
    ├── InvalidRequest          400  the request is wrong; repeating it gives the same error
    ├── Unauthorized            401  the key is missing or unknown
    ├── Forbidden           402/403  the account lacks a permission (such as a task type that is not enabled)
    ├── NotFound                404  the object does not exist
    ├── Duplicate               409  another task has this unique_id
    ├── TransientError               a temporary failure; the same request may succeed later
    │   ├── RateLimited         429  too many requests
    │   ├── ServerError     408/5xx  the server failed: the request may have been executed or not
    │   ├── ConnectError             no connection: the request was not sent
    │   └── ResponseLost             the connection broke or timed out: the request may have been executed or not
    └── InvalidResponse              a response that does not match the documented format
        └── ResponseTooLarge         a response that is too large to be read

`retryable` is true if a retry can succeed. `outcome_unknown` is true if the server may have executed the request, or
one of the attempts before it.
Source: 2017 API, "Errors"; current API, "Errors".
"""

from __future__ import annotations


class ScaleError(Exception):
    """A call to the Scale API failed.

    status: the HTTP status, None if there was no response. retry_after: seconds, None if the server named none.
    """

    retryable = False
    outcome_unknown = False

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after


class InvalidRequest(ScaleError):
    """400: the request is wrong; repeating it gives the same error."""


class Unauthorized(ScaleError):
    """401: the key is missing or unknown."""


class Forbidden(ScaleError):
    """402 or 403: the account lacks a permission."""


class NotFound(ScaleError):
    """404: the object does not exist."""


class Duplicate(ScaleError):
    """409: another task has this unique_id."""


class TransientError(ScaleError):
    """A temporary failure: the same request may succeed later."""

    retryable = True


class RateLimited(TransientError):
    """429: too many requests."""


class ServerError(TransientError):
    """408 or 5xx: the request may have been executed or not."""

    outcome_unknown = True


class ConnectError(TransientError):
    """No connection: the request was not sent."""


class ResponseLost(TransientError):
    """The connection broke, or the response timed out: the request may have been executed or not."""

    outcome_unknown = True


class InvalidResponse(ScaleError):
    """A response that does not match the documented format."""

    outcome_unknown = True


class ResponseTooLarge(InvalidResponse):
    """A response that is too large to be read."""


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
    """Return the error for an HTTP status other than 200.

    >>> error_for_status(429, "Too many requests.", retry_after=2.0)
    RateLimited('Too many requests.')
    """
    if 300 <= status < 400:
        return ScaleError(f"unexpected redirect (HTTP {status})", status)
    default_class = ServerError if status >= 500 else InvalidRequest if status >= 400 else InvalidResponse
    return _BY_STATUS.get(status, default_class)(message, status, retry_after)
