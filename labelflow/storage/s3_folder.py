"""A folder in S3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from labelflow.errors import FileGone, StorageError
from labelflow.storage import s3, s3_client, s3_errors
from labelflow.storage.folder import FileInfo, check_name


class S3Folder:
    """A prefix in a bucket. Each file is one object, written with one PUT of at most 5 GiB."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._bucket, key = s3_client.split_uri(self.uri + "/")
        self._prefix = key

    def _object_uri(self, name: str) -> str:
        return f"{self.uri}/{check_name(name)}"

    def read(self, name: str) -> bytes | None:
        with _s3_storage_error(self._object_uri(name)):
            try:
                return s3.read_bytes(self._object_uri(name))
            except FileNotFoundError:
                return None

    def open(self, name: str) -> BinaryIO:
        with _s3_storage_error(self._object_uri(name)):
            try:
                return cast(BinaryIO, s3.open_ranged(self._object_uri(name)))
            except FileNotFoundError:
                raise FileGone(f"{self._object_uri(name)}: was removed by another process; run again") from None

    def write(self, name: str, content: bytes) -> None:
        with _s3_storage_error(self._object_uri(name)):
            s3.put_bytes(self._object_uri(name), content)

    def create(self, name: str, content: bytes) -> bool:
        with _s3_storage_error(self._object_uri(name)):
            return s3.create_bytes(self._object_uri(name), content)

    def age(self, name: str) -> float | None:
        with _s3_storage_error(self._object_uri(name)):
            return s3.age(self._object_uri(name))

    def write_file(self, name: str, path: Path) -> None:
        with _s3_storage_error(self._object_uri(name)):
            s3.put_file(self._object_uri(name), path)

    def move(self, name: str, target: str) -> None:
        with _s3_storage_error(self._object_uri(target)):
            try:
                s3.copy(self._object_uri(name), self._object_uri(target))
            except FileNotFoundError:
                return
            s3.delete(self._object_uri(name))

    def remove_leftovers(self) -> None:
        """Nothing to do: an upload that ends early leaves no object."""

    def list(self, prefix: str) -> list[FileInfo]:
        with _s3_storage_error(self._object_uri(prefix)):
            objects = list(s3.list_keys(self._object_uri(prefix)))
        files = [FileInfo(info.key.removeprefix(self._prefix), info.size) for info in objects]
        return [file for file in files if _is_visible(file.name.removeprefix(prefix))]

    def subfolders(self) -> Sequence[str]:
        with _s3_storage_error(self.uri):
            names = s3.list_folders(self._object_uri(""))
        return [name for name in names if name[0] not in "._"]

    def delete(self, name: str) -> None:
        with _s3_storage_error(self._object_uri(name)):
            s3.delete(self._object_uri(name))


def _is_visible(name: str) -> bool:
    return "/" not in name and name[:1] not in ("", ".")


@contextmanager
def _s3_storage_error(uri: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StorageError(s3_errors.s3_error(error, uri)) from None
