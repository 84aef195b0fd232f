"""Pace with a clock of the test's own: spacing, holding, slowing down, recovering."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labelflow.scale import rate_limiter
from labelflow.scale.rate_limiter import ASSUMED_RATE, MIN_RATE, RECOVERY_SECONDS, RateLimiter


class FakeClock:
    """Time that passes only where somebody pauses."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    made = FakeClock()
    monkeypatch.setattr(rate_limiter, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def seconds_for(limiter: RateLimiter, clock: FakeClock, requests: int = 10) -> float:
    """How long a request takes, on the average, behind one that has just left."""
    limiter.wait()
    start = clock.now
    for _ in range(requests):
        limiter.wait()
    return (clock.now - start) / requests


def test_requests_are_spaced_by_the_rate(clock: FakeClock) -> None:
    assert seconds_for(RateLimiter(10, clock.pause), clock) == pytest.approx(0.1)


def test_no_wait_without_a_rate(clock: FakeClock) -> None:
    assert seconds_for(RateLimiter(None, clock.pause), clock) == 0


def test_concurrent_threads_are_released_one_by_one(clock: FakeClock) -> None:
    pauses: list[float] = []
    tested = RateLimiter(10, pauses.append)  # the clock stands still: all come at the same moment
    for _ in range(5):
        tested.wait()
    assert pauses == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_429_halves_the_rate_once_for_all_threads(clock: FakeClock) -> None:
    tested = RateLimiter(10, clock.pause)
    for _ in range(16):
        tested.back_off(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(0.2)


def test_429_pauses_all_requests_for_retry_after(clock: FakeClock) -> None:
    tested = RateLimiter(10, clock.pause)
    tested.back_off(7.0)
    tested.back_off(3.0)
    start = clock.now
    tested.wait()
    assert clock.now - start == pytest.approx(7.0)


def test_429_sets_a_temporary_rate_when_there_was_none(clock: FakeClock) -> None:
    tested = RateLimiter(None, clock.pause)
    tested.back_off(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(2 / ASSUMED_RATE)
    clock.now += RECOVERY_SECONDS + 1
    tested.wait()
    assert seconds_for(tested, clock) == 0


def test_rate_never_drops_below_the_minimum(clock: FakeClock) -> None:
    tested = RateLimiter(10, clock.pause)
    for _ in range(20):
        tested.back_off(None)
        clock.now += 1
    tested.back_off(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(1 / MIN_RATE, rel=0.01)


def test_429_never_raises_the_rate(clock: FakeClock) -> None:
    tested = RateLimiter(MIN_RATE / 5, clock.pause)
    tested.back_off(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(5 / MIN_RATE)


def test_occasional_429s_keep_most_of_the_rate(clock: FakeClock) -> None:
    """One request in fifty is refused, however few are sent: as by a server with a fault, not by one with a limit."""
    tested = RateLimiter(None, clock.pause)
    start, sent = clock.now, 1000
    for number in range(sent):
        tested.wait()
        clock.now += 0.001
        if number % 50 == 0:
            tested.back_off(None)
    assert sent / (clock.now - start) > 15


def test_rate_recovers_gradually_up_to_the_limit(clock: FakeClock) -> None:
    tested = RateLimiter(10, clock.pause)
    tested.back_off(None)
    found = []
    for _ in range(4):
        tested.wait()
        found.append(1 / seconds_for(tested, clock, 1))
        clock.now += RECOVERY_SECONDS / 3
    assert found == [pytest.approx(number, rel=0.1) for number in (5, 7, 9, 10)]
    assert found[-1] <= 10.001


def test_recovery_does_not_exceed_a_limit_near_the_minimum(clock: FakeClock) -> None:
    tested = RateLimiter(0.8, clock.pause)
    tested.back_off(None)
    clock.now += RECOVERY_SECONDS + 1
    assert seconds_for(tested, clock, 5) == pytest.approx(1 / 0.8)
