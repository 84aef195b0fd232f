"""The duration of audio that is a sequence of frames without an index: counted, or estimated from samples.

A file up to FULL_READ_BYTES is read whole, and its frames are counted. Of a longer one, windows at positions that are
spread evenly are read, until the mean of seconds per byte is precise. A loud or a silent start has no more weight
than any other part.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import BinaryIO

from labelflow.media.media import Duration
from labelflow.media.reading import read_at

WINDOW = 64 * 1024  # bytes of one sample; RangedFile reads as many per request
FULL_READ_BYTES = 1024 * 1024
MIN_WINDOWS, MAX_WINDOWS = 8, 56
TARGET_ERROR = 0.005  # relative; sampling stops when it is reached
CONFIDENCE = 2.5  # standard errors: the actual duration is beyond them about once in 80 files
MIN_FRAMES = 4  # consecutive valid headers that show that a position is the start of a frame

ParseFrame = Callable[[bytes, int], "tuple[int, float] | None"]  # bytes, offset → size in bytes and seconds, or None


def measure_frames(file: BinaryIO, start: int, stop: int, parse_frame: ParseFrame) -> Duration | None:
    """Return the duration of the frames between two positions; None if there are none.

    parse_frame: returns the size in bytes and the duration in seconds of the frame at an offset, None if there is none.
    """
    if stop - start <= FULL_READ_BYTES:
        seconds, covered = _count(read_at(file, start, stop - start), parse_frame)
        return Duration(seconds) if covered else None
    return _estimate(file, start, stop, parse_frame)


def find_frames(content: bytes, parse_frame: ParseFrame, start: int = 0) -> int | None:
    """Return the offset of the first frame that other frames follow; None if there is none."""
    for offset in range(start, len(content)):
        if starts_frames(content, offset, parse_frame):
            return offset
    return None


def starts_frames(content: bytes, offset: int, parse_frame: ParseFrame) -> bool:
    """Return whether several frames in a row start at an offset, as far as the bytes show."""
    for _ in range(MIN_FRAMES):
        frame = parse_frame(content, offset)
        if frame is None:
            return False
        offset += frame[0]
        if offset >= len(content):
            return True
    return True


def _count(content: bytes, parse_frame: ParseFrame) -> tuple[float, int]:
    """Add up all frames: their seconds, and their bytes. Skips what is not a frame."""
    seconds, covered = 0.0, 0
    offset = find_frames(content, parse_frame)
    while offset is not None:
        frame = parse_frame(content, offset)
        if frame is None:
            offset = find_frames(content, parse_frame, offset + 1)
            continue
        size = min(frame[0], len(content) - offset)
        seconds += frame[1] * size / frame[0]
        covered += size
        offset += frame[0]
        if offset >= len(content):
            break
    return seconds, covered


def _estimate(file: BinaryIO, start: int, stop: int, parse_frame: ParseFrame) -> Duration | None:
    windows: list[tuple[int, float]] = []  # position, seconds per byte
    span = stop - start - WINDOW
    for index in range(min(MAX_WINDOWS, (stop - start) // WINDOW)):
        position = start + round(_spread(index) * span)
        seconds, covered = _count(read_at(file, position, WINDOW), parse_frame)
        windows.append((position, seconds / covered if covered else 0.0))
        rates = [rate for _, rate in sorted(windows)]
        if len(rates) >= MIN_WINDOWS and _relative_error(rates, stop - start) <= TARGET_ERROR:
            break
    if not any(rates):
        return None
    seconds = statistics.fmean(rates) * (stop - start)
    return Duration(seconds, _relative_error(rates, stop - start) * seconds)


def _relative_error(rates: list[float], size: int) -> float:
    """The relative error of the mean of evenly spread windows, in order; 0 once they cover the whole file.

    It follows from the differences of neighbors: a part that is louder than the rest adds only its edges.
    """
    mean = statistics.fmean(rates)
    if not mean:
        return 1.0
    deviation = sqrt(statistics.fmean((a - b) ** 2 for a, b in pairwise(rates)) / 2)
    unread = max(0.0, 1 - len(rates) * WINDOW / size)
    return CONFIDENCE * deviation / mean * sqrt(unread / len(rates))


def _spread(index: int) -> float:
    """The number `index` of a sequence in [0, 1) whose every prefix is spread evenly (van der Corput, base 2)."""
    value, fraction = 0.0, 0.5
    while index:
        value += fraction * (index & 1)
        index >>= 1
        fraction /= 2
    return value
