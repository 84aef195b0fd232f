"""FLAC: the number of the last frame, or else the number of samples in the header."""

from __future__ import annotations

from typing import BinaryIO

from labelflow.media.containers.mpeg import id3_size
from labelflow.media.media import Duration
from labelflow.media.reading import InvalidMedia, read_at, read_exactly, read_tail

_TAIL = 256 * 1024  # bytes; more than a frame of uncompressed stereo has


def duration(file: BinaryIO) -> Duration | None:
    """Return the duration of the frames that are in the file. A file that was piped has no length in its header."""
    start = id3_size(file)
    if read_at(file, start, 4) != b"fLaC":
        raise InvalidMedia("no FLAC header")
    info = read_exactly(file, start + 8, 34)  # STREAMINFO is always the first block
    block_size, packed = int.from_bytes(info[2:4], "big"), int.from_bytes(info[10:18], "big")
    rate, declared = packed >> 44, packed & (1 << 36) - 1
    if not rate:
        return None
    _, tail = read_tail(file, _TAIL)
    found = _last_sample(tail, block_size, is_variable=info[:2] != info[2:4])
    if found is not None and not declared - block_size <= found <= declared:
        return Duration(found / rate, block_size / rate)
    return Duration(declared / rate) if declared else None


def _last_sample(content: bytes, block_size: int, *, is_variable: bool) -> int | None:
    """The number of the last sample, at most one block too high; None if the bytes have no start of a frame."""
    sync = b"\xff\xf9" if is_variable else b"\xff\xf8"
    offset = content.rfind(sync)
    while offset >= 0:
        number = _frame_number(content, offset + 4)
        if number is not None:
            return (number if is_variable else number * block_size) + block_size
        offset = content.rfind(sync, 0, offset)
    return None


def _frame_number(content: bytes, offset: int) -> int | None:
    """The number of a frame or of its first sample, coded like UTF-8; None if the header's checksum is wrong."""
    if offset >= len(content):
        return None
    first = content[offset]
    length = 1 if first < 0x80 else 8 - (first ^ 0xFF).bit_length()
    number = first if length == 1 else first & 0x7F >> length
    for byte in content[offset + 1 : offset + length]:
        number = number << 6 | byte & 0x3F
    end = offset + length + _extra_bytes(content[offset - 2])
    return number if end < len(content) and _crc8(content[offset - 4 : end]) == content[end] else None


def _extra_bytes(sizes: int) -> int:
    """The bytes of block size and rate after the number, by the third byte of the header."""
    return {6: 1, 7: 2}.get(sizes >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(sizes & 15, 0)


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value
