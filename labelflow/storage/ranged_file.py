"""A remote file that is read piece by piece, where it is needed."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 256 * 1024  # bytes fetched at once, at least
CACHED_BLOCKS = 8


class ReadBudgetExceeded(OSError):
    """More bytes were wanted than the reader of a `RangedFile` may fetch."""


class RangedFile(io.RawIOBase):
    """A seekable, read-only file over ranged reads, for PIL, tinytag, pyarrow and io.BufferedReader.

    read_range: gives the bytes from a first position up to, not including, a second one; raises OSError.
    size: of the whole file, in bytes.
    block: bytes fetched at once; the last few blocks are kept. A longer read is fetched in one piece.
    budget: bytes that may be fetched in all, None for no limit; beyond it reading raises ReadBudgetExceeded.
    head: the first bytes, where they are known already; they cost nothing.
    """

    def __init__(
        self,
        read_range: Callable[[int, int], bytes],
        size: int,
        block: int = BLOCK,
        *,
        budget: int | None = None,
        prefix: bytes = b"",
    ) -> None:
        super().__init__()
        self._read_range = read_range
        self._size = size
        self._block = block
        self._budget = budget
        self._prefix = prefix
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self.failure: Exception | None = None  # the last one: what parses a file tends to swallow it

    @property
    def size(self) -> int:
        """Bytes in the whole file."""
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._check_open()
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"a position before the start of the file: {start + offset}")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes, fewer only at the end; all that is left where no size is given. Raises OSError."""
        self._check_open()
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        content = self._bytes(self._position, self._position + wanted)
        self._position += len(content)
        return content

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")

    def _bytes(self, start: int, stop: int) -> bytes:
        if stop == start:
            return b""
        if stop <= len(self._prefix):
            return self._prefix[start:stop]
        if stop - start > self._block:
            return self._fetch(start, stop)
        first, last = start // self._block, (stop - 1) // self._block
        content = b"".join(self._cached(number) for number in range(first, last + 1))
        offset = first * self._block
        return content[start - offset : stop - offset]

    def _cached(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * self._block
        content = self._fetch(start, min(start + self._block, self._size))
        self._blocks[number] = content
        if len(self._blocks) > CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return content

    def _fetch(self, start: int, stop: int) -> bytes:
        known = self._prefix[start:stop]
        try:
            self._spend(stop - start - len(known))
            content = self._read_range(start + len(known), stop) if len(known) < stop - start else b""
            if len(known) + len(content) != stop - start:
                raise OSError(f"{stop - start} bytes were asked for, {len(known) + len(content)} came")
        except Exception as error:
            self.failure = error
            raise
        return known + content

    def _spend(self, wanted: int) -> None:
        if self._budget is None:
            return
        if wanted > self._budget:
            raise ReadBudgetExceeded(f"{wanted} more bytes are wanted, {self._budget} may be read")
        self._budget -= wanted
