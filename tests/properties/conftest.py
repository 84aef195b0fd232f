"""Settings of the property tests: number of cases, folders, time limits.

A normal run tries a few hundred cases, always the same. `make properties CASES=10000` tries 10,000 random ones.
"""

from __future__ import annotations

import math
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hypothesis import HealthCheck, settings

TEST_FILES = 5  # test files that share the cases
_REQUESTED_CASES = int(os.environ.get("PROPERTY_CASES", "0"))
_MEMORY = Path("/dev/shm")


def cases(default: int, share: float = 1.0) -> settings:
    """Settings of a test. default: cases in a normal run; share: of the requested cases of its file."""
    return settings(
        max_examples=math.ceil(_REQUESTED_CASES / TEST_FILES * share) if _REQUESTED_CASES else default,
        derandomize=not _REQUESTED_CASES,
        database=None,
        deadline=None,  # `time_limit` also interrupts a test that hangs
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def case_folder() -> Iterator[Path]:
    """An empty folder for one case, in memory if the system supports that."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer; interrupts it, so it may even hang."""

    def expired(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"still running after {seconds:g} s")

    previous_handler = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)


def check_readable(text: str) -> None:
    """Check that a message is readable: short lines without control characters."""
    lines = text.split("\n")
    assert all(line.strip() and line.isprintable() for line in lines), f"not readable: {text!r}"
    assert max(map(len, lines)) <= 1000, f"a line of {max(map(len, lines))} characters: {text[:200]!r}"
    assert len(lines) <= 30, f"{len(lines)} lines"
