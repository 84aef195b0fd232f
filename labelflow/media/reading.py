"""Read integers and ranges of a seekable file."""

from __future__ import annotations

from typing import BinaryIO


class InvalidMedia(ValueError):
    """A file does not have the structure of its format."""


def file_size(file: BinaryIO) -> int:
    """Return the size of a seekable file in bytes."""
    return file.seek(0, 2)


def read_at(file: BinaryIO, start: int, size: int) -> bytes:
    """Read `size` bytes from `start`, fewer at the end of the file."""
    file.seek(start)
    return file.read(size)


def read_exactly(file: BinaryIO, start: int, size: int) -> bytes:
    """Read `size` bytes from `start`. Raises InvalidMedia at the end of the file."""
    content = read_at(file, start, size)
    if len(content) < size:
        raise InvalidMedia(f"the file ends at byte {start + len(content)}")
    return content


def read_tail(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Return the last `size` bytes of the file, all of a shorter one, after the position of their first byte."""
    start = max(0, file_size(file) - size)
    return start, read_at(file, start, size)
