"""A folder that outlives the worker: on local disk or in S3. Files are written once and whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from labelflow.errors import StorageError, UsageError
from labelflow.storage import s3


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


def open_folder(uri: str) -> Folder:
    """The folder at a path, or at `s3://bucket/prefix`. Raises ValueError for what is neither."""
    if uri.startswith("s3://"):
        return S3Folder(uri)
    if "://" in uri:
        raise ValueError("is neither a path nor an s3:// URI; write a folder, or s3://bucket/prefix")
    return LocalFolder(str(Path(uri).expanduser()))


def open_output(uri: str) -> Folder:
    """The output folder of a job. Raises UsageError for a URI that can be none."""
    try:
        return open_folder(uri)
    except ValueError as error:
        reason, _, fix = str(error).partition("; ")
        raise UsageError(f"output {uri}", reason, fix or "correct the job's output") from None


class LocalFolder:
    """A folder on disk. A file gets a temporary name, reaches the disk, and is then renamed."""

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

    def write_file(self, name: str, path: Path) -> None:
        with self._replacing(name) as file, path.open("rb") as source:
            while block := source.read(1 << 20):
                file.write(block)

    def move(self, name: str, target: str) -> None:
        source, goal = self._root / name, self._root / target
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            source.replace(goal)
            _sync_directory(goal.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _local_storage_error(goal, error) from error

    @contextmanager
    def _replacing(self, name: str) -> Iterator[BinaryIO]:
        target = self._root / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
            try:
                with temporary.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_directory(target.parent)
        except OSError as error:
            raise _local_storage_error(target, error) from error

    def list(self, prefix: str) -> list[FileInfo]:
        try:
            with os.scandir(self._root / prefix) as entries:
                found = [_file_info(prefix, entry) for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _local_storage_error(self._root / prefix, error) from error
        return sorted((file for file in found if file), key=lambda file: file.name)

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


class S3Folder:
    """A prefix in a bucket. One PUT makes one file."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._bucket, key = s3.split_uri(self.uri + "/")
        self._prefix = key

    def _at(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def read(self, name: str) -> bytes | None:
        with _s3_storage_error(self._at(name)):
            try:
                return s3.read_bytes(self._at(name))
            except FileNotFoundError:
                return None

    def open(self, name: str) -> BinaryIO:
        with _s3_storage_error(self._at(name)):
            return cast(BinaryIO, s3.open_ranged(self._at(name)))

    def write(self, name: str, content: bytes) -> None:
        with _s3_storage_error(self._at(name)):
            s3.put_bytes(self._at(name), content)

    def write_file(self, name: str, path: Path) -> None:
        with _s3_storage_error(self._at(name)):
            s3.put_file(self._at(name), path)

    def move(self, name: str, target: str) -> None:
        with _s3_storage_error(self._at(target)):
            try:
                s3.copy(self._at(name), self._at(target))
            except FileNotFoundError:
                return
            s3.delete(self._at(name))

    def list(self, prefix: str) -> list[FileInfo]:
        with _s3_storage_error(self._at(prefix)):
            found = list(s3.list_keys(self._at(prefix)))
        return [FileInfo(info.key.removeprefix(self._prefix), info.size) for info in found]

    def subfolders(self) -> Sequence[str]:
        with _s3_storage_error(self.uri):
            names = s3.list_folders(self._at(""))
        return [name for name in names if name[0] not in "._"]

    def delete(self, name: str) -> None:
        with _s3_storage_error(self._at(name)):
            s3.delete(self._at(name))


@contextmanager
def _s3_storage_error(uri: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StorageError(s3.s3_error(error, uri)) from None


def _local_storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: {error.strerror or error}; check the path, its rights and the free space")


def _file_info(prefix: str, entry: os.DirEntry[str]) -> FileInfo | None:
    """What is there, None for what is no file, or gone since the folder was read."""
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
