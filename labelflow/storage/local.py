"""A folder on local disk."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from labelflow.errors import StorageError
from labelflow.storage.folder import FileInfo


class LocalFolder:
    """A folder on disk. A file is written under a temporary name, synced to disk, and then renamed."""

    def __init__(self, path: str) -> None:
        self.uri = path.rstrip("/") or "/"
        self._root = Path(path)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _local_storage_error(self._root / name, error) from error

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._root / name).open("rb")
        except OSError as error:
            raise _local_storage_error(self._root / name, error) from error

    def write(self, name: str, content: bytes) -> None:
        with self._replacing(name) as file:
            file.write(content)

    def create(self, name: str, content: bytes) -> bool:
        target = self._root / name
        try:
            with self._temporary(target) as temporary:
                temporary.write_bytes(content)
                os.link(temporary, target)  # unlike a rename, it does not replace a file
        except FileExistsError:
            return False
        except OSError as error:
            raise _local_storage_error(target, error) from error
        _sync_directory(target.parent)
        return True

    def age(self, name: str) -> float | None:
        target = self._root / name
        try:
            written_at = target.stat().st_mtime
            with self._temporary(target) as temporary:
                temporary.touch()  # its time is the file system's, which may be another machine's
                return temporary.stat().st_mtime - written_at
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _local_storage_error(target, error) from error

    def write_file(self, name: str, path: Path) -> None:
        with self._replacing(name) as file, path.open("rb") as source:
            while block := source.read(1 << 20):
                file.write(block)

    def move(self, name: str, target: str) -> None:
        old_path, new_path = self._root / name, self._root / target
        try:
            new_path.parent.mkdir(parents=True, exist_ok=True)
            old_path.replace(new_path)
            _sync_directory(new_path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _local_storage_error(new_path, error) from error

    @contextmanager
    def _temporary(self, target: Path) -> Iterator[Path]:
        """A hidden path beside a file, removed at the end."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[BinaryIO]:
        target = self._root / name
        try:
            with self._temporary(target) as temporary:
                with temporary.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            _sync_directory(target.parent)
        except OSError as error:
            raise _local_storage_error(target, error) from error

    def list(self, prefix: str) -> list[FileInfo]:
        try:
            with os.scandir(self._root / prefix) as entries:
                files = [_file_info(prefix, entry) for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _local_storage_error(self._root / prefix, error) from error
        return sorted((file for file in files if file), key=lambda file: file.name)

    def subfolders(self) -> Sequence[str]:
        try:
            with os.scandir(self._root) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] not in "._")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _local_storage_error(self._root, error) from error

    def delete(self, name: str) -> None:
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _local_storage_error(self._root / name, error) from error


def _local_storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: {error.strerror or error}; check the path, its permissions and the free space")


def _file_info(prefix: str, entry: os.DirEntry[str]) -> FileInfo | None:
    """The file of a directory entry; None if it is not a file, or was removed since the directory was read."""
    try:
        return FileInfo(prefix + entry.name, entry.stat().st_size) if entry.is_file() else None
    except FileNotFoundError:
        return None


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
