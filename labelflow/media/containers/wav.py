"""WAV: RIFF, RIFX and RF64. A header may promise more than there is, as it does when the file was piped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Literal

from labelflow.media.containers import mpeg
from labelflow.media.media import Duration
from labelflow.media.reading import InvalidMedia, file_size, read_at, read_exactly

_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x7FFFFFFE, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # written by programs that pipe
_MAX_CHUNKS = 64
_MAX_PADDING = 64 * 1024  # bytes of zeros behind the samples
_UNCOMPRESSED = (1, 3, 6, 7)  # PCM, float, A-law, µ-law: `block_align` bytes per sample
_BLOCKS = (2, 0x11, 0x31)  # MS ADPCM, IMA ADPCM, GSM 6.10: a fixed number of samples per block
_MPEG = (0x50, 0x55)
_EXTENSIBLE = 0xFFFE  # the actual code is in the extension

Order = Literal["little", "big"]
Chunk = tuple[bytes, int, int]  # id, position of the content, declared size


def duration(file: BinaryIO) -> Duration | None:
    """Return the duration of the samples that are in the file, whatever the header says."""
    order: Order = "big" if read_at(file, 0, 4) == b"RIFX" else "little"
    form, long_size = b"", None
    for name, start, size in _chunks(file, order):
        if name == b"ds64":
            long_size = int.from_bytes(read_exactly(file, start + 8, 8), order)
        elif name == b"fmt ":
            form = read_exactly(file, start, min(size, 64))
        elif name == b"data":
            declared = long_size if long_size and size == 0xFFFFFFFF else size
            available = max(0, file_size(file) - start)
            is_known = declared not in _UNKNOWN_SIZES and _ends_at(file, start, declared, available)
            return _seconds(file, form, order, start, declared if is_known else available)
    return None


def _ends_at(file: BinaryIO, start: int, declared: int, available: int) -> bool:
    """Whether the samples end where the header says: at the end of the file, or before another chunk."""
    rest = available - declared - declared % 2
    if rest < 8:
        return declared <= available
    head = read_exactly(file, start + available - rest, 8)
    is_padding = rest <= _MAX_PADDING and not any(head)
    return is_padding or head[:4].strip(b" ").isalnum()


def _chunks(file: BinaryIO, order: Order) -> Iterator[Chunk]:
    position, size = 12, file_size(file)
    for _ in range(_MAX_CHUNKS):
        if position + 8 > size:
            return
        head = read_exactly(file, position, 8)
        length = int.from_bytes(head[4:], order)
        yield head[:4], position + 8, length
        position += 8 + length + length % 2


def _seconds(file: BinaryIO, form: bytes, order: Order, start: int, size: int) -> Duration | None:
    if len(form) < 16:
        raise InvalidMedia("the data has no format")
    code, rate, bytes_per_second, block, samples_per_block = (
        int.from_bytes(form[first:last], order) for first, last in ((0, 2), (4, 8), (8, 12), (12, 14), (18, 20))
    )
    if code == _EXTENSIBLE:
        code = int.from_bytes(form[24:26], order)
    if code in _MPEG:
        return mpeg.frames_between(file, start, start + size)
    if code in _UNCOMPRESSED and rate and block:
        return Duration(size / block / rate)
    if code in _BLOCKS and rate and block and samples_per_block:
        return Duration(size / block * samples_per_block / rate)
    return Duration(size / bytes_per_second) if bytes_per_second else None
