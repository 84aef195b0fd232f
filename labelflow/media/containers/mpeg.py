"""MPEG audio: MP3, and layers 1 and 2. The Xing header of a VBR file is used if it matches the size of the file."""

from __future__ import annotations

from typing import BinaryIO

from labelflow.media.frames import WINDOW, find_frames, measure_frames
from labelflow.media.media import Duration
from labelflow.media.reading import file_size, read_at

_BITRATES = {  # kbit/s by version (1; 2 and 2.5) and layer, for the indexes 1 to 14
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits: 1, 2, 2.5
_SEARCHED = 4 * WINDOW  # bytes after the tags in which the first frame must be
_ID3V1 = 128
_MAX_MISMATCH = 0.02  # between the file and the size in its Xing header


def parse_frame(content: bytes, offset: int) -> tuple[int, float] | None:
    """Return the size in bytes and the seconds of the frame at an offset, None if there is none."""
    if offset + 4 > len(content) or content[offset] != 0xFF or content[offset + 1] & 0xE0 != 0xE0:
        return None
    version, layer = content[offset + 1] >> 3 & 3, 4 - (content[offset + 1] >> 1 & 3)
    bitrate, rate = content[offset + 2] >> 4, content[offset + 2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    hertz = _RATES[version][rate]
    bits = _BITRATES[1 if version == 3 else 2, layer][bitrate - 1] * 1000
    padding = content[offset + 2] >> 1 & 1
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    size = (12 * bits // hertz + padding) * 4 if layer == 1 else samples // 8 * bits // hertz + padding
    return size, samples / hertz


def id3_size(file: BinaryIO) -> int:
    """Return the size of the ID3v2 tags at the start, 0 without any."""
    position = 0
    while (head := read_at(file, position, 10)).startswith(b"ID3") and len(head) == 10:
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        position += 10 + size + (10 if head[5] & 0x10 else 0)
    return position


def duration(file: BinaryIO) -> Duration | None:
    """Return the duration of an MP3 file."""
    start, stop = id3_size(file), file_size(file)
    if read_at(file, max(0, stop - _ID3V1), 3) == b"TAG":
        stop -= _ID3V1
    return frames_between(file, start, stop)


def frames_between(file: BinaryIO, start: int, stop: int) -> Duration | None:
    """Return the duration of the frames between two positions."""
    head = read_at(file, start, min(_SEARCHED, stop - start))
    first = find_frames(head, parse_frame)
    if first is None:
        return None
    return _by_header(head[first:], stop - start - first) or measure_frames(file, start + first, stop, parse_frame)


def _by_header(head: bytes, available: int) -> Duration | None:
    """The duration by the Xing or VBRI header in the first frame; None if it does not describe this file."""
    frame = parse_frame(head, 0)
    if frame is None:
        return None
    first = head[: frame[0]]
    frames, size = _xing(first) or _vbri(first) or (0, 0)
    if not frames or abs(size - available) > _MAX_MISMATCH * available:
        return None
    return Duration(frames * frame[1])


def _xing(frame: bytes) -> tuple[int, int] | None:
    """The numbers of frames and bytes."""
    position = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    if position < 0 or frame[position + 7 : position + 8] < b"\1" or frame[position + 7] & 3 != 3:
        return None
    return _integer(frame, position + 8), _integer(frame, position + 12)


def _vbri(frame: bytes) -> tuple[int, int] | None:
    if frame[36:40] != b"VBRI":
        return None
    return _integer(frame, 50), _integer(frame, 46)


def _integer(content: bytes, offset: int) -> int:
    return int.from_bytes(content[offset : offset + 4], "big")
