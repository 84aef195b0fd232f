"""A remote file, read on demand in byte ranges."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 256 * 1024  # bytes: the default size of a request
CACHED_BLOCKS = 8


class ReadBudgetExceeded(OSError):
    """A read would exceed the byte budget of a `RangedFile`."""


class RangedFile(io.RawIOBase):
    """A seekable, read-only file over ranged reads, for PIL, tinytag, pyarrow and io.BufferedReader.

    read_range: returns the bytes from `start` up to, but not including, `stop`; raises OSError.
    size: of the whole file, in bytes.
    block: bytes fetched per request; the most recently used blocks are cached. A longer read is one request.
    budget: maximum number of bytes to fetch in total, None for no limit. Beyond it, reads raise ReadBudgetExceeded.
    prefix: the first bytes, if they are already known; reading them costs nothing.

    Example:
        content = b"0123456789"
        file = RangedFile(lambda start, stop: content[start:stop], size=10)
        file.seek(4)
        file.read(2)  # b"45"
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
        self.failure: Exception | None = None  # the last read error: parsers often swallow it

    @property
    def size(self) -> int:
        """Size of the whole file, in bytes."""
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
            raise ValueError(f"position {start + offset} is before the start of the file")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end of the file; without a size, read to the end. Raises OSError."""
        self._check_open()
        remaining = max(0, self._size - self._position)
        count = remaining if size is None or size < 0 else min(size, remaining)
        content = self._bytes(self._position, self._position + count)
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
        content = b"".join(self._cached_block(index) for index in range(first, last + 1))
        offset = first * self._block
        return content[start - offset : stop - offset]

    def _cached_block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        start = index * self._block
        content = self._fetch(start, min(start + self._block, self._size))
        self._blocks[index] = content
        if len(self._blocks) > CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return content

    def _fetch(self, start: int, stop: int) -> bytes:
        known = self._prefix[start:stop]
        try:
            self._use_budget(stop - start - len(known))
            content = self._read_range(start + len(known), stop) if len(known) < stop - start else b""
            if len(known) + len(content) != stop - start:
                raise OSError(f"requested {stop - start} bytes, got {len(known) + len(content)}")
        except Exception as error:
            self.failure = error
            raise
        return known + content

    def _use_budget(self, count: int) -> None:
        if self._budget is None:
            return
        if count > self._budget:
            raise ReadBudgetExceeded(f"reading {count} more bytes exceeds the remaining budget of {self._budget} bytes")
        self._budget -= count
