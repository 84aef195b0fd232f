"""The interface of a durable folder, on local disk or in S3. Every write of a file is atomic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from labelflow.errors import StorageError

MAX_READ_BYTES = 256 << 20  # of a file that is read as a whole; the largest ones list ids of rows


def check_name(name: str) -> str:
    """Return a file name or prefix unchanged. Raises StorageError if it leads out of the folder: it may be planted."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "." in parts or "" in parts[:-1] or "\0" in name:
        raise StorageError(f"{name!r} is not a valid file name in an output folder; restore the file that contains it")
    return name


def too_large(location: str, size: int) -> StorageError:
    """Return the error for a file of more than MAX_READ_BYTES."""
    return StorageError(f"{location}: has {size:,} bytes, more than labelflow writes; restore or remove it")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in a folder: its name relative to the folder, its size in bytes."""

    name: str
    size: int


class Folder(Protocol):
    """A folder of files, implemented by `LocalFolder` and `S3Folder`.

    Names are relative to the folder, with slashes: `labels/part-0.parquet`. All methods raise StorageError if the
    store does not respond or refuses the operation, and for a name that leads out of the folder.

    Example:
        folder = open_folder("s3://bucket/prefix")
        folder.write("labels/a.json", b"{}")
        folder.read("labels/a.json")  # b"{}"
    """

    uri: str

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it does not exist. Raises StorageError above MAX_READ_BYTES."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading: seekable, content is loaded on demand. Raises FileGone if it does not exist."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: readers see the old content or the new one, never a part."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file if there is none of that name. Returns whether it was written.

        Atomic on disk, and in S3 if the store supports `If-None-Match`; other stores may let two writers succeed.
        """

    def age(self, name: str) -> float | None:
        """Seconds since a file was last written, by the store's clock (S3: up to 1 s less); None if missing."""

    def write_file(self, name: str, path: Path) -> None:
        """Write a file atomically, with the content of a local file."""

    def move(self, name: str, target: str) -> None:
        """Rename a file; readers see the target complete or not at all. Does nothing if the file does not exist."""

    def remove_leftovers(self) -> None:
        """Remove the temporary files of processes that were killed."""

    def list(self, prefix: str) -> list[FileInfo]:
        """List the files in a folder, sorted by name, without hidden ones and subfolders. prefix: ends with a slash."""

    def subfolders(self) -> Sequence[str]:
        """List the names of the direct subfolders, sorted, without those that start with a dot or an underscore."""

    def delete(self, name: str) -> None:
        """Remove a file. Does nothing if it does not exist."""
