"""The elements of a JSON array, one after the other, without parsing them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

CHUNK_BYTES = 1 << 16
_OUTSIDE = re.compile(rb'["{}\[\],]')  # what changes the state between strings
_INSIDE = re.compile(rb'["\\]')  # and in a string


class NotAnArray(ValueError):
    """The content is not a complete array: "ends …" or "has …"."""


class _Scanner:
    """Finds the ends of elements in chunks of an array. An element may begin in one chunk and end in a later one.

    depth: brackets that are open, 1 between elements; 0 after the array.
    """

    def __init__(self, max_bytes: int) -> None:
        self.depth = 0
        self._max_bytes = max_bytes
        self._in_string = False
        self._skip = 0  # bytes of the next chunk that are escaped
        self._element = bytearray()
        self._after_comma = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the elements that end in a chunk. Of a larger one than max_bytes, only its first bytes."""
        position = start = self._skip
        self._skip = 0
        if start:
            self._append(chunk[:start])
        while match := (_INSIDE if self._in_string else _OUTSIDE).search(chunk, position):
            position = match.end()
            token = match[0]
            if token == b"\\":
                position += 1
            elif token == b'"':
                self._in_string = not self._in_string
            elif token in b"{[":
                self.depth += 1
                if self.depth == 1:  # the array begins
                    start = position
            elif token in b"}]":
                self.depth -= 1
                if self.depth == 0:
                    yield from self._end(chunk[start : position - 1], is_last=True)
                    check_only_space(chunk[position:])
                    return
            elif self.depth == 1:
                yield from self._end(chunk[start : position - 1], is_last=False)
                start = position
        self._skip = max(0, position - len(chunk))
        self._append(chunk[start:])

    def _append(self, piece: bytes) -> None:
        if not self._element:
            piece = piece.lstrip()
        self._element += piece[: max(0, self._max_bytes - len(self._element))]

    def _end(self, piece: bytes, *, is_last: bool) -> Iterator[bytes]:
        self._append(piece)
        element = bytes(self._element).strip()
        self._element.clear()
        if element or self._after_comma or not is_last:
            yield element
        self._after_comma = not is_last


def check_only_space(rest: bytes) -> None:
    """Raise NotAnArray if what follows an array is not only space."""
    if rest.strip():
        raise NotAnArray("has more content after its last ]")


def array_elements(file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """Yield the elements of a JSON array as bytes. They may be invalid JSON, but their brackets are balanced.

    file: at the array's first bracket. max_bytes: kept of an element that is larger.
    Raises NotAnArray if the array is not complete, or if more than space follows it.

    >>> list(array_elements(io.BytesIO(b'[{"a": "]"}, 2]'), 1000))
    [b'{"a": "]"}', b'2']
    """
    scanner = _Scanner(max_bytes)
    is_complete = False
    while chunk := file.read(CHUNK_BYTES):
        if is_complete:
            check_only_space(chunk)
            continue
        yield from scanner.feed(chunk)
        is_complete = scanner.depth == 0
    if not is_complete:
        raise NotAnArray("ends before its last ]")
