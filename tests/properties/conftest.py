"""How many cases the property tests try, where they work, and how long a case may take.

The ordinary run tries a few hundred, the same each time. `make properties CASES=10000` tries so many others.
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

TEST_FILES = 4  # files of tests, which share the cases
_REQUESTED_CASES = int(os.environ.get("PROPERTY_CASES", "0"))
_MEMORY = Path("/dev/shm")


def cases(ordinary: int, share: float = 1.0) -> settings:
    """The settings of a test: its cases in the ordinary run, and its share of its subject's on demand."""
    return settings(
        max_examples=math.ceil(_REQUESTED_CASES / TEST_FILES * share) if _REQUESTED_CASES else ordinary,
        derandomize=not _REQUESTED_CASES,
        database=None,
        deadline=None,  # `within` has one that also ends what hangs
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def case_folder() -> Iterator[Path]:
    """An empty folder for one case, in memory where the system has such a place."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Fails what takes longer, even where it would never end."""

    def expired(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"still at work after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_readable(text: str) -> None:
    """A message that a person can read: each line short, without what a terminal would act on."""
    lines = text.split("\n")
    assert all(line.strip() and line.isprintable() for line in lines), f"cannot be read: {text!r}"
    assert max(map(len, lines)) <= 1000, f"a line of {max(map(len, lines))} characters: {text[:200]!r}"
    assert len(lines) <= 30, f"{len(lines)} lines"
