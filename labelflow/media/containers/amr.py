"""AMR: frames of 20 ms, whose size is in their first byte."""

from __future__ import annotations

from typing import BinaryIO

from labelflow.media.frames import ParseFrame, measure_frames
from labelflow.media.media import Duration
from labelflow.media.reading import file_size, read_at

NARROW, WIDE = b"#!AMR\n", b"#!AMR-WB\n"
_FRAME_SECONDS = 0.02
# Bytes by frame type, with the header; types that are not listed are reserved.
_NARROW_SIZES = {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6, 15: 1}
_WIDE_SIZES = {0: 18, 1: 24, 2: 33, 3: 37, 4: 41, 5: 47, 6: 51, 7: 59, 8: 61, 9: 6, 14: 1, 15: 1}


def duration(file: BinaryIO) -> Duration | None:
    """Return the duration of an AMR file."""
    is_wide = read_at(file, 0, len(WIDE)) == WIDE
    magic, sizes = (WIDE, _WIDE_SIZES) if is_wide else (NARROW, _NARROW_SIZES)
    return measure_frames(file, len(magic), file_size(file), _parser(sizes))


def _parser(sizes: dict[int, int]) -> ParseFrame:
    def parse_frame(content: bytes, offset: int) -> tuple[int, float] | None:
        if offset >= len(content) or content[offset] & 0x83:
            return None
        size = sizes.get(content[offset] >> 3)
        return None if size is None else (size, _FRAME_SECONDS)

    return parse_frame
