"""S3 objects: read, write, list, copy, presign. Uses boto3 with its usual credentials and `AWS_*` settings.

Functions take `s3://bucket/key` URIs; the key is used literally, without percent-decoding. They raise botocore's
errors, which `s3_errors.s3_error` describes, FileNotFoundError if the object does not exist, and ValueError if the URI
is invalid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from labelflow.storage.folder import MAX_READ_BYTES, too_large
from labelflow.storage.ranged_file import RangedFile
from labelflow.storage.s3_client import bucket_region, client, error_code, errors, split_uri
from labelflow.storage.s3_errors import NOT_FOUND, s3_error

MAX_PRESIGN_SECONDS = 7 * 24 * 3600  # the limit of SigV4
FILE_BLOCK = 4 * 1024 * 1024  # bytes: saturates one connection, and reads a small file in one request


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in a listing: its key, its size in bytes."""

    key: str
    size: int


def presign(uri: str, seconds: int) -> str:
    """Return a URL that allows GET, but not HEAD, on the object for `seconds`, at most 7 days.

    It is signed for the region of the bucket, which takes one request per bucket. It expires early if the credentials
    that sign it do. Raises ValueError if `seconds` is out of range.

    Example:
        presign("s3://bucket/a.jpg", 3600)  # "https://bucket.s3.amazonaws.com/a.jpg?X-Amz-Algorithm=…"
    """
    if not 1 <= seconds <= MAX_PRESIGN_SECONDS:
        raise ValueError(f"a presigned URL is valid for 1 to {MAX_PRESIGN_SECONDS} seconds (7 days), got {seconds}")
    target = _object(uri)
    region = bucket_region(target["Bucket"])
    url: str = client(region).generate_presigned_url("get_object", Params=target, ExpiresIn=seconds)
    return url


def open_ranged(uri: str, block: int = FILE_BLOCK, budget: int | None = None) -> RangedFile:
    """Open the object as a seekable file. The first request returns its size and its first block.

    Reads raise OSError, also if the object is replaced after it was opened. block, budget: see `RangedFile`, in bytes.
    """
    try:
        response, prefix = _get(uri, Range=f"bytes=0-{block - 1}")
    except errors() as error:
        if error_code(error) != "InvalidRange":
            raise
        response, prefix = {"ETag": ""}, b""  # an empty object has no first byte
    size = int(response["ContentRange"].rpartition("/")[2]) if "ContentRange" in response else len(prefix)

    def read_range(start: int, stop: int) -> bytes:
        try:
            return _get(uri, Range=f"bytes={start}-{stop - 1}", IfMatch=response["ETag"])[1]
        except errors() as error:
            kind = FileNotFoundError if error_code(error) == "PreconditionFailed" else OSError  # it was replaced
            raise kind(s3_error(error, uri)) from None

    return RangedFile(read_range, size, block, budget=budget, prefix=prefix)


def read_bytes(uri: str) -> bytes:
    """Return the whole object. Raises StorageError above MAX_READ_BYTES."""
    return _get(uri)[1]


def put_bytes(uri: str, data: bytes) -> None:
    """Write an object with one PUT: readers see the old content or the new one."""
    client().put_object(**_object(uri), Body=data)


def create_bytes(uri: str, data: bytes) -> bool:
    """Write an object if there is none. Returns whether it was written; see `Folder.create`."""
    if age(uri) is not None:  # for stores that ignore the condition below
        return False
    try:
        client().put_object(**_object(uri), Body=data, IfNoneMatch="*")
    except errors() as error:
        if error_code(error) not in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
            raise
        return False
    return True


def age(uri: str) -> float | None:
    """Return the minimum age of an object in seconds, by the server's clock; None if it does not exist."""
    try:
        response = client().head_object(**_object(uri))
    except errors() as error:
        if error_code(error) not in NOT_FOUND:
            raise
        return None
    now = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    seconds: float = (now - response["LastModified"]).total_seconds()
    return max(0.0, seconds - 1.0)  # both times are whole seconds


def put_file(uri: str, path: Path | str) -> None:
    """Write an object from a local file of at most 5 GiB, always with one PUT."""
    with Path(path).open("rb") as file:
        client().put_object(**_object(uri), Body=file)


def copy(uri: str, target: str) -> None:
    """Copy an object of at most 5 GiB to another URI, within S3."""
    try:
        client().copy_object(**_object(target), CopySource=_object(uri))
    except errors() as error:
        if error_code(error) not in NOT_FOUND:
            raise
        raise FileNotFoundError(s3_error(error, uri)) from None


def list_keys(uri_prefix: str) -> Iterator[ObjectInfo]:
    """List the objects whose URI starts with the prefix, in key order; one request per 1,000 objects."""
    bucket, prefix = split_uri(uri_prefix)
    for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield ObjectInfo(item["Key"], item["Size"])


def list_folders(uri_prefix: str) -> list[str]:
    """List the folder names directly below a prefix that ends with a slash, in order."""
    bucket, prefix = split_uri(uri_prefix)
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return [item["Prefix"][len(prefix) : -1] for page in pages for item in page.get("CommonPrefixes", [])]


def delete(uri: str) -> None:
    """Remove an object. Does nothing if it does not exist."""
    client().delete_object(**_object(uri))


def _object(uri: str) -> dict[str, str]:
    bucket, key = split_uri(uri)
    if not key:
        raise ValueError(f"{uri!r} names a bucket but no object; use s3://bucket/key")
    return {"Bucket": bucket, "Key": key}


def _get(uri: str, attempts: int = 3, **conditions: str) -> tuple[dict[str, Any], bytes]:
    """GET an object: the response and its body. boto3 retries the request, but not the reading of the body.

    Raises StorageError above MAX_READ_BYTES.
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    try:
        response = client().get_object(**_object(uri), **conditions)
    except errors() as error:
        if error_code(error) not in NOT_FOUND:
            raise
        raise FileNotFoundError(s3_error(error, uri)) from None
    if response["ContentLength"] > MAX_READ_BYTES:
        response["Body"].close()
        raise too_large(uri, response["ContentLength"])
    try:
        return response, response["Body"].read()
    except (HTTPClientError, IncompleteReadError):
        if attempts == 1:
            raise
    return _get(uri, attempts - 1, **conditions)
