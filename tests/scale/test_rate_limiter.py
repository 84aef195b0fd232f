"""RateLimiter with a fake clock: spacing, Retry-After, back-off, recovery."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labelflow.scale import rate_limiter
from labelflow.scale.rate_limiter import ASSUMED_RATE, MIN_RATE, RECOVERY_SECONDS, RateLimiter


class FakeClock:
    """A clock that advances only during a sleep."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake_clock = FakeClock()
    monkeypatch.setattr(rate_limiter, "time", SimpleNamespace(monotonic=fake_clock.monotonic))
    return fake_clock


def seconds_for(limiter: RateLimiter, clock: FakeClock, requests: int = 10) -> float:
    """Return the average seconds between requests."""
    limiter.wait()
    start = clock.now
    for _ in range(requests):
        limiter.wait()
    return (clock.now - start) / requests


def test_requests_are_spaced_by_the_rate(clock: FakeClock) -> None:
    assert seconds_for(RateLimiter(10, clock.sleep), clock) == pytest.approx(0.1)


def test_no_wait_without_a_rate(clock: FakeClock) -> None:
    assert seconds_for(RateLimiter(None, clock.sleep), clock) == 0


def test_concurrent_threads_are_released_one_by_one(clock: FakeClock) -> None:
    delays: list[float] = []
    limiter = RateLimiter(10, delays.append)  # the clock does not advance: all requests start at the same time
    for _ in range(5):
        limiter.wait()
    assert delays == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_429_halves_the_rate_once_for_all_threads(clock: FakeClock) -> None:
    limiter = RateLimiter(10, clock.sleep)
    for _ in range(16):
        limiter.back_off(None)
    assert seconds_for(limiter, clock, 1) == pytest.approx(0.2)


def test_429_pauses_all_requests_for_retry_after(clock: FakeClock) -> None:
    limiter = RateLimiter(10, clock.sleep)
    limiter.back_off(7.0)
    limiter.back_off(3.0)
    start = clock.now
    limiter.wait()
    assert clock.now - start == pytest.approx(7.0)


def test_429_sets_a_temporary_rate_when_there_was_none(clock: FakeClock) -> None:
    limiter = RateLimiter(None, clock.sleep)
    limiter.back_off(None)
    assert seconds_for(limiter, clock, 1) == pytest.approx(2 / ASSUMED_RATE)
    clock.now += RECOVERY_SECONDS + 1
    limiter.wait()
    assert seconds_for(limiter, clock) == 0


def test_rate_never_drops_below_the_minimum(clock: FakeClock) -> None:
    limiter = RateLimiter(10, clock.sleep)
    for _ in range(20):
        limiter.back_off(None)
        clock.now += 1
    limiter.back_off(None)
    assert seconds_for(limiter, clock, 1) == pytest.approx(1 / MIN_RATE, rel=0.01)


def test_429_never_raises_the_rate(clock: FakeClock) -> None:
    limiter = RateLimiter(MIN_RATE / 5, clock.sleep)
    limiter.back_off(None)
    assert seconds_for(limiter, clock, 1) == pytest.approx(5 / MIN_RATE)


def test_occasional_429s_keep_most_of_the_rate(clock: FakeClock) -> None:
    """One request in fifty gets a 429 at any rate, as from a server with a fault, not from one with a limit."""
    limiter = RateLimiter(None, clock.sleep)
    start, count = clock.now, 1000
    for number in range(count):
        limiter.wait()
        clock.now += 0.001
        if number % 50 == 0:
            limiter.back_off(None)
    assert count / (clock.now - start) > 15


def test_rate_recovers_gradually_up_to_the_limit(clock: FakeClock) -> None:
    limiter = RateLimiter(10, clock.sleep)
    limiter.back_off(None)
    rates = []
    for _ in range(4):
        limiter.wait()
        rates.append(1 / seconds_for(limiter, clock, 1))
        clock.now += RECOVERY_SECONDS / 3
    assert rates == [pytest.approx(rate, rel=0.1) for rate in (5, 7, 9, 10)]
    assert rates[-1] <= 10.001


def test_recovery_does_not_exceed_a_limit_near_the_minimum(clock: FakeClock) -> None:
    limiter = RateLimiter(0.8, clock.sleep)
    limiter.back_off(None)
    clock.now += RECOVERY_SECONDS + 1
    assert seconds_for(limiter, clock, 5) == pytest.approx(1 / 0.8)
