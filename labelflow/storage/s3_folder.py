"""A folder in S3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from labelflow.errors import StorageError
from labelflow.storage import s3, s3_client, s3_errors
from labelflow.storage.folder import FileInfo


class S3Folder:
    """A prefix in a bucket. One PUT makes one file."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._bucket, key = s3_client.split_uri(self.uri + "/")
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
        raise StorageError(s3_errors.s3_error(error, uri)) from None
