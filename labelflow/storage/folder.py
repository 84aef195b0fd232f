"""The interface of a durable folder, on local disk or in S3. Every write of a file is atomic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in a folder: its name relative to the folder, its size in bytes."""

    name: str
    size: int


class Folder(Protocol):
    """A folder of files, implemented by `LocalFolder` and `S3Folder`.

    Names are relative to the folder, with slashes: `labels/part-0.parquet`. All methods raise StorageError if the
    store does not respond or refuses the operation.

    Example:
        folder = open_folder("s3://bucket/prefix")
        folder.write("labels/a.json", b"{}")
        folder.read("labels/a.json")  # b"{}"
    """

    uri: str

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it does not exist."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading: seekable, content is loaded on demand."""

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

    def list(self, prefix: str) -> list[FileInfo]:
        """List the files below a prefix (a folder name that ends with a slash), sorted by name."""

    def subfolders(self) -> Sequence[str]:
        """List the names of the direct subfolders, sorted, without those that start with a dot or an underscore."""

    def delete(self, name: str) -> None:
        """Remove a file. Does nothing if it does not exist."""
