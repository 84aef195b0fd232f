"""Pace with a clock of the test's own: spacing, holding, slowing down, recovering."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labelflow.scale import rate_limiter
from labelflow.scale.rate_limiter import LEAST_RATE, RECOVERY_SECONDS, UNLIMITED_START, Pace


class Clock:
    """Time that passes only where somebody pauses."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rate_limiter, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def seconds_for(tested: Pace, clock: Clock, requests: int = 10) -> float:
    """How long a request takes, on the average, behind one that has just left."""
    tested.wait()
    start = clock.now
    for _ in range(requests):
        tested.wait()
    return (clock.now - start) / requests


def test_requests_are_spaced_by_the_rate(clock: Clock) -> None:
    assert seconds_for(Pace(10, clock.pause), clock) == pytest.approx(0.1)


def test_without_a_rate_nothing_is_waited_for(clock: Clock) -> None:
    assert seconds_for(Pace(None, clock.pause), clock) == 0


def test_threads_that_come_at_once_leave_one_after_the_other(clock: Clock) -> None:
    pauses: list[float] = []
    tested = Pace(10, pauses.append)  # the clock stands still: all come at the same moment
    for _ in range(5):
        tested.wait()
    assert pauses == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_429_halves_the_rate_once_however_many_threads_hear_of_it(clock: Clock) -> None:
    tested = Pace(10, clock.pause)
    for _ in range(16):
        tested.slow_down(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(0.2)


def test_a_429_holds_everything_for_as_long_as_it_asks(clock: Clock) -> None:
    tested = Pace(10, clock.pause)
    tested.slow_down(7.0)
    tested.slow_down(3.0)
    start = clock.now
    tested.wait()
    assert clock.now - start == pytest.approx(7.0)


def test_a_429_gives_a_rate_where_there_was_none_and_it_goes_again(clock: Clock) -> None:
    tested = Pace(None, clock.pause)
    tested.slow_down(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(2 / UNLIMITED_START)
    clock.now += RECOVERY_SECONDS + 1
    tested.wait()
    assert seconds_for(tested, clock) == 0


def test_the_rate_is_never_less_than_the_least(clock: Clock) -> None:
    tested = Pace(10, clock.pause)
    for _ in range(20):
        tested.slow_down(None)
        clock.now += 1
    tested.slow_down(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(1 / LEAST_RATE, rel=0.01)


def test_a_429_never_raises_the_rate(clock: Clock) -> None:
    tested = Pace(LEAST_RATE / 5, clock.pause)
    tested.slow_down(None)
    assert seconds_for(tested, clock, 1) == pytest.approx(5 / LEAST_RATE)


def test_429s_now_and_then_leave_most_of_the_rate(clock: Clock) -> None:
    """One request in fifty is refused, however few are sent: as by a server with a fault, not by one with a limit."""
    tested = Pace(None, clock.pause)
    start, sent = clock.now, 1000
    for number in range(sent):
        tested.wait()
        clock.now += 0.001
        if number % 50 == 0:
            tested.slow_down(None)
    assert sent / (clock.now - start) > 15


def test_the_rate_recovers_step_by_step_to_the_limit_and_not_beyond(clock: Clock) -> None:
    tested = Pace(10, clock.pause)
    tested.slow_down(None)
    found = []
    for _ in range(4):
        tested.wait()
        found.append(1 / seconds_for(tested, clock, 1))
        clock.now += RECOVERY_SECONDS / 3
    assert found == [pytest.approx(number, rel=0.1) for number in (5, 7, 9, 10)]
    assert found[-1] <= 10.001


def test_a_limit_near_the_least_is_not_exceeded_by_recovering(clock: Clock) -> None:
    tested = Pace(0.8, clock.pause)
    tested.slow_down(None)
    clock.now += RECOVERY_SECONDS + 1
    assert seconds_for(tested, clock, 5) == pytest.approx(1 / 0.8)
