"""A folder that outlives the worker: on local disk or in S3. Files are written once and whole."""

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
    """What both kinds of folders can do. Raises StorageError where the store does not answer."""

    uri: str

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none."""

    def open(self, name: str) -> BinaryIO:
        """A file, seekable, read as it is needed."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole: a reader sees the old one or the new one."""

    def write_file(self, name: str, path: Path) -> None:
        """As `write`, from a local file."""

    def move(self, name: str, target: str) -> None:
        """Give a file another name, under which it appears whole; fine where there is none."""

    def list(self, prefix: str) -> list[FileInfo]:
        """The files below a prefix (a folder's name with a slash), by name."""

    def subfolders(self) -> Sequence[str]:
        """The names of the folders right below, without hidden ones."""

    def delete(self, name: str) -> None:
        """Remove a file; fine where there is none."""
