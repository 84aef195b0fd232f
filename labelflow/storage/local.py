"""A folder on local disk."""

from __future__ import annotations

import errno
import os
import re
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from labelflow.errors import FileGone, StorageError
from labelflow.storage.folder import MAX_READ_BYTES, FileInfo, check_name, too_large

LEFTOVER_AGE = 600.0  # seconds after which a temporary file belongs to a process that was killed
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.part")


class LocalFolder:
    """A folder on disk. A file is written under a temporary name, synced to disk, and then renamed."""

    def __init__(self, path: str) -> None:
        self.uri = path.rstrip("/") or "/"
        self._root = Path(path)

    def _path(self, name: str) -> Path:
        """The path of a file or prefix. Raises StorageError if it is outside of the folder, also by a symbolic link."""
        path = self._root / check_name(name)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._root)):
            raise StorageError(f"{path}: is a symbolic link out of the output folder; replace it with a file or folder")
        return path

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            with _open_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size > MAX_READ_BYTES:
                    raise too_large(str(path), size)
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _local_storage_error(path, error) from error

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        try:
            return _open_file(path)
        except FileNotFoundError:
            raise FileGone(f"{path}: was removed by another process; run again") from None
        except OSError as error:
            raise _local_storage_error(path, error) from error

    def write(self, name: str, content: bytes) -> None:
        with self._replacing(name) as file:
            file.write(content)

    def create(self, name: str, content: bytes) -> bool:
        target = self._path(name)
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
        target = self._path(name)
        try:
            written_at = target.stat().st_mtime
            return max(0.0, self._clock() - written_at)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _local_storage_error(target, error) from error

    def write_file(self, name: str, path: Path) -> None:
        with self._replacing(name) as file, path.open("rb") as source:
            while block := source.read(1 << 20):
                file.write(block)

    def move(self, name: str, target: str) -> None:
        old_path, new_path = self._path(name), self._path(target)
        try:
            new_path.parent.mkdir(parents=True, exist_ok=True)
            old_path.replace(new_path)
            _sync_directory(new_path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _local_storage_error(new_path, error) from error

    def remove_leftovers(self) -> None:
        now: float | None = None
        for directory, _, names in os.walk(self._root):
            for name in filter(_LEFTOVER.fullmatch, names):
                path = Path(directory) / name
                with suppress(OSError):  # another process removes it, too
                    now = now or self._clock()
                    if now - path.stat().st_mtime > LEFTOVER_AGE:
                        path.unlink()

    def _clock(self) -> float:
        """The file system's time, which may be another machine's."""
        with self._temporary(self._root / "clock") as temporary:
            temporary.touch()
            return temporary.stat().st_mtime

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
        target = self._path(name)
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
        path = self._path(prefix)
        try:
            with os.scandir(path) as entries:
                files = [_file_info(prefix, entry) for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _local_storage_error(path, error) from error
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
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _local_storage_error(path, error) from error


def _open_file(path: Path) -> BinaryIO:
    """Open a regular file. A named pipe would block until somebody writes to it."""
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # noqa: PTH123, SIM115  of a descriptor
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "is not a file")


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
