"""Retries of calls to the API, with exponential backoff."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from labelflow.scale.errors import ScaleError, TransientError

T = TypeVar("T")
Sleep = Callable[[float], None]

PLAUSIBLE_YEARS = range(2000, 3000)  # of a server's clock; beyond them, times could not be added


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to attempt a call, and the delays between the attempts in seconds.

    A delay is twice the one before, up to `max_delay`, times a random factor from 0.5 to 1 (jitter).
    attempts: the maximum number of calls, the first one included.
    max_retry_after: limits the delay that a server requests with `Retry-After`.

        RetryPolicy(attempts=3, initial_delay=1.0)  # up to 3 calls, with delays of 0.5-1 s and 1-2 s
    """

    attempts: int = 8
    initial_delay: float = 0.25
    max_delay: float = 20.0
    max_retry_after: float = 300.0

    def delay_after(self, failures: int, error: ScaleError) -> float:
        """Return the seconds to wait after a number of failures, not less than `Retry-After`."""
        backoff = min(self.max_delay, self.initial_delay * 2.0 ** (failures - 1))
        jittered = backoff * random.uniform(0.5, 1.0)
        return max(jittered, min(error.retry_after or 0.0, self.max_retry_after))


def call_with_retries(
    call: Callable[[], T],
    policy: RetryPolicy,
    sleep: Sleep,
    recover: Callable[[], T | None] | None = None,
) -> T:
    """Call a function until it succeeds or fails with an error that is not a TransientError.

    recover: called before a call is repeated whose outcome is unknown (see `ScaleError.outcome_unknown`). Its
    result replaces the lost response; None means that the call was not executed, as far as the server shows.
    Raises the last error once the attempts are used up. Its `outcome_unknown` is true if that of any attempt was: an
    attempt that is refused does not show what became of the attempts before it.
    """
    failures, outcome_unknown = 0, False
    while True:
        try:
            return call()
        except ScaleError as error:
            failures += 1
            may_recover = error.outcome_unknown
            outcome_unknown = error.outcome_unknown = outcome_unknown or error.outcome_unknown
            if not isinstance(error, TransientError) or failures >= policy.attempts:
                raise
            sleep(policy.delay_after(failures, error))
        recovered = _recover(recover) if recover and may_recover else None
        if recovered is not None:
            return recovered


def _recover(recover: Callable[[], T | None]) -> T | None:
    try:
        return recover()
    except ScaleError as error:
        error.outcome_unknown = True  # of the call, whatever the search met
        raise


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Parse the header `Retry-After`, a number of seconds or a date, into seconds; None if it is neither.

    A date is compared with the header `Date`: this machine's clock may differ from the server's.

    >>> retry_after_seconds({"Retry-After": "17"})
    17.0
    """
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value[:9])
    moment, now = parse_http_date(value), parse_http_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds()) if moment else None


def parse_http_date(value: str) -> datetime | None:
    """Return the time of an HTTP header such as `Date`; None if it is malformed, or its year is implausible.

    >>> parse_http_date("Wed, 25 Nov 2026 12:00:00 GMT")
    datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.year not in PLAUSIBLE_YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
