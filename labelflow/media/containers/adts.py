"""AAC in ADTS frames (.aac)."""

from __future__ import annotations

from typing import BinaryIO

from labelflow.media.containers.mpeg import id3_size
from labelflow.media.frames import measure_frames
from labelflow.media.media import Duration
from labelflow.media.reading import file_size

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_HEADER = 7  # bytes
_SAMPLES = 1024  # per block


def parse_frame(content: bytes, offset: int) -> tuple[int, float] | None:
    """Return the size in bytes and the seconds of the frame at an offset, None if there is none."""
    head = content[offset : offset + _HEADER]
    if len(head) < _HEADER or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate, size = head[2] >> 2 & 15, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate >= len(_RATES) or size < _HEADER:
        return None
    return size, _SAMPLES * (1 + (head[6] & 3)) / _RATES[rate]


def duration(file: BinaryIO) -> Duration | None:
    """Return the duration of an AAC file."""
    return measure_frames(file, id3_size(file), file_size(file), parse_frame)
