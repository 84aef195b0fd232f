"""The one retry loop: every call to the API goes through it, over http and https alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from labelflow.scale.errors import ScaleError, TransientError

T = TypeVar("T")
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try, and how long to wait in between, in seconds. Pauses double, with jitter."""

    attempts: int = 8
    initial_delay: float = 0.25
    max_delay: float = 20.0
    max_retry_after: float = 300.0  # of what a server may ask for in `Retry-After`

    def delay_after(self, failures: int, error: ScaleError) -> float:
        """Seconds to wait after so many failures; at least what the server asked for in `Retry-After`."""
        backoff = min(self.max_delay, self.initial_delay * 2.0 ** (failures - 1))
        jittered = backoff * random.uniform(0.5, 1.0)
        return max(jittered, min(error.retry_after or 0.0, self.max_retry_after))


def call_with_retries(
    call: Callable[[], T],
    policy: RetryPolicy,
    sleep: Sleep,
    recover: Callable[[], T | None] | None = None,
) -> T:
    """Call until it succeeds, fails for good, or the attempts are used up; then raise the last error.

    settle: asked before a call is repeated whose outcome is unknown (see `ScaleError.maybe_done`): what it
    returns stands for the answer that was lost, None means that the call was not carried out.
    """
    failures = 0
    while True:
        try:
            return call()
        except TransientError as error:
            failures += 1
            if failures >= policy.attempts:
                raise
            sleep(policy.delay_after(failures, error))
            recovered = recover() if recover and error.outcome_unknown else None
            if recovered is not None:
                return recovered


def retry_after_seconds(header: str | None) -> float | None:
    """The seconds that a `Retry-After` header asks for: a number, or a date. None where it says neither."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header[:9])
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())
