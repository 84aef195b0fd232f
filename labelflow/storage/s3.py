"""S3, through boto3 and its own chain of credentials and settings (`AWS_ENDPOINT_URL`, profiles, roles).

Functions take `s3://bucket/key` URIs; the key is taken as it stands, with nothing decoded. They raise
botocore's errors, which `s3_error` puts into words, and FileNotFoundError where there is no such object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelflow.storage.ranged_file import RangedFile
from labelflow.storage.s3_client import client, error_code, errors, split_uri
from labelflow.storage.s3_errors import _NOT_FOUND, s3_error

MAX_PRESIGN_SECONDS = 7 * 24 * 3600  # seconds; SigV4 allows no more
FILE_BLOCK = 4 * 1024 * 1024  # bytes: reads as fast as one connection gives, and small files in one request


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in a listing; its size in bytes."""

    key: str
    size: int


def presign(uri: str, seconds: int) -> str:
    """A URL that GETs the object for so many seconds, 7 days at most; HEAD is not signed for.

    Computed here, no request is made. It lives no longer than the credentials that sign it.
    """
    if not 1 <= seconds <= MAX_PRESIGN_SECONDS:
        raise ValueError(f"a signed URL lives 1 to {MAX_PRESIGN_SECONDS} seconds (7 days), not {seconds}")
    url: str = client().generate_presigned_url("get_object", Params=_object(uri), ExpiresIn=seconds)
    return url


def open_ranged(uri: str, block: int = FILE_BLOCK, budget: int | None = None) -> RangedFile:
    """The object as a seekable file; one request tells its size and brings its first block.

    Reading raises OSError, also where the object is replaced meanwhile. `budget`: see RangedFile.
    """
    try:
        answer, head = _get(uri, Range=f"bytes=0-{block - 1}")
    except errors() as error:
        if error_code(error) != "InvalidRange":
            raise
        answer, head = {"ETag": ""}, b""
    size = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else len(head)

    def read_range(start: int, stop: int) -> bytes:
        try:
            return _get(uri, Range=f"bytes={start}-{stop - 1}", IfMatch=answer["ETag"])[1]
        except errors() as error:
            raise OSError(s3_error(error, uri)) from None

    return RangedFile(read_range, size, block, budget=budget, prefix=head)


def read_bytes(uri: str) -> bytes:
    """The whole object."""
    return _get(uri)[1]


def put_bytes(uri: str, data: bytes) -> None:
    """Write an object in one PUT: readers see the old one or the new one."""
    client().put_object(**_object(uri), Body=data)


def put_file(uri: str, path: Path | str) -> None:
    """Write an object from a file of at most 5 GiB, in one PUT, whatever its size."""
    with Path(path).open("rb") as file:
        client().put_object(**_object(uri), Body=file)


def copy(uri: str, target: str) -> None:
    """Copy an object of at most 5 GiB to another key, within S3."""
    try:
        client().copy_object(**_object(target), CopySource=_object(uri))
    except errors() as error:
        if error_code(error) not in _NOT_FOUND:
            raise
        raise FileNotFoundError(s3_error(error, uri)) from None


def list_keys(uri_prefix: str) -> Iterator[ObjectInfo]:
    """The objects whose URI starts so, in the order of their keys; a request for each 1,000."""
    bucket, prefix = split_uri(uri_prefix)
    for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield ObjectInfo(item["Key"], item["Size"])


def list_folders(uri_prefix: str) -> list[str]:
    """The names between a prefix that ends with a slash and the next slash, in order."""
    bucket, prefix = split_uri(uri_prefix)
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return [item["Prefix"][len(prefix) : -1] for page in pages for item in page.get("CommonPrefixes", [])]


def delete(uri: str) -> None:
    """Remove an object; fine where there is none."""
    client().delete_object(**_object(uri))


def _object(uri: str) -> dict[str, str]:
    bucket, key = split_uri(uri)
    if not key:
        raise ValueError(f"{uri!r} names a bucket and no object; write s3://bucket/key")
    return {"Bucket": bucket, "Key": key}


def _get(uri: str, attempts: int = 3, **conditions: str) -> tuple[dict[str, Any], bytes]:
    """The answer to a GET, and its body. boto3 tries the request again, but not the reading of the body."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    try:
        answer = client().get_object(**_object(uri), **conditions)
    except errors() as error:
        if error_code(error) not in _NOT_FOUND:
            raise
        raise FileNotFoundError(s3_error(error, uri)) from None
    try:
        return answer, answer["Body"].read()
    except (HTTPClientError, IncompleteReadError):
        if attempts == 1:
            raise
    return _get(uri, attempts - 1, **conditions)
