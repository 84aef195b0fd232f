"""Compressed files: gzip and Zstandard, recognized by their first bytes, decompressed while they are read."""

from __future__ import annotations

import io
import tempfile
from typing import Any, Literal, cast

import pyarrow as pa

from labelflow.manifests.format import FormatError

SUFFIXES = (".gz", ".zst")
MAX_COPY_BYTES = 16 << 30  # of a file that must be decompressed to the local disk
BUFFER_BYTES = 1 << 20
_CODECS: dict[bytes, Literal["gzip", "zstd"]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # by the first bytes


def decompress(file: io.BufferedReader) -> io.BufferedReader:
    """Return a file that reads the decompressed content; the file itself if it is not compressed.

    The suffix does not matter: HTTP servers decompress `.gz` files, and S3 tools compress files without renaming them.
    Several members or frames are read as one file. Memory is bounded, whatever the content expands to.
    Reads raise OSError if the content is truncated or corrupt.
    """
    head = file.peek(4)
    for magic, codec in _CODECS.items():
        if head.startswith(magic):
            stream: Any = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec)
            return io.BufferedReader(stream, BUFFER_BYTES)
    return file


def as_seekable(file: io.BufferedReader) -> io.BufferedReader:
    """Return a file that can seek: one that cannot is copied to a temporary file, which disappears when it is closed.

    Raises FormatError above MAX_COPY_BYTES.
    """
    if file.seekable():
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115  the caller reads it
    while block := file.read(BUFFER_BYTES):
        if copy.tell() + len(block) > MAX_COPY_BYTES:
            copy.close()
            reason = f"has more than {MAX_COPY_BYTES >> 30} GiB after decompression"
            raise FormatError(reason, "decompress it, or divide it into several files")
        copy.write(block)
    copy.seek(0)
    return cast(io.BufferedReader, copy)
