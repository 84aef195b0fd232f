"""S3, through boto3 and its own chain of credentials and settings (`AWS_ENDPOINT_URL`, profiles, roles).

Functions take `s3://bucket/key` URIs; the key is taken as it stands, with nothing decoded. They raise
botocore's errors, which `s3_error` puts into words, and FileNotFoundError where there is no such object.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from labelflow.storage.ranged_file import RangedFile

MAX_PRESIGN_SECONDS = 7 * 24 * 3600  # seconds; SigV4 allows no more
MAX_KEY_BYTES = 1024  # bytes of UTF-8
CONNECTIONS = 64
FILE_BLOCK = 4 * 1024 * 1024  # bytes: reads as fast as one connection gives, and small files in one request

_NOT_FOUND = ("NoSuchKey", "404", "NotFound")
DENIED = ("AccessDenied", "403", "Forbidden", "AllAccessDisabled")
_BAD_CREDENTIALS = (
    "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken TokenRefreshRequired "
    "RequestExpired RequestTimeTooSkewed AuthorizationHeaderMalformed 400 401"
).split()
_UNREACHABLE = (
    "EndpointConnectionError ConnectTimeoutError ReadTimeoutError ConnectionClosedError ProxyConnectionError "
    "SSLError HTTPClientError ConnectionError InvalidEndpointURLError ResponseStreamingError IncompleteReadError"
).split()
_NO_CREDENTIALS = (
    "NoCredentialsError PartialCredentialsError ProfileNotFound CredentialRetrievalError "
    "TokenRetrievalError SSOTokenLoadError UnauthorizedSSOTokenError InvalidConfigError"
).split()
_SETTINGS = (
    "AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY "
    "AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE"
).split()
_creating = threading.Lock()


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in a listing; its size in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class S3Problem:
    """An S3 error in words: what is wrong, what would be right.

    everywhere: no single object is at fault; the next one would fare no better.
    """

    reason: str
    fix: str
    is_systemic: bool = False


def client() -> Any:
    """The process's S3 client, safe to share by threads; a new one where the AWS_* settings have changed.

    It is boto3's low-level client, whose methods exist only at run time: hence Any.
    """
    with _creating:  # two threads that need it first do not both wait for it to be made
        return _client(os.getpid(), tuple(map(os.environ.get, _SETTINGS)))


@lru_cache(maxsize=4)
def _client(process: int, settings: tuple[str | None, ...]) -> Any:
    import boto3
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_time)

    config = Config(
        user_agent="labelflow",  # botocore puts one together for each request, which takes an eighth of its time
        signature_version="s3v4",
        max_pool_connections=CONNECTIONS,
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 4},
        # Checksums sent as trailers are refused by other stores than Amazon's.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # A custom endpoint gets path-style addresses by boto3's own rule.
    made = boto3.session.Session(botocore_session=session).client("s3", config=config)
    made.meta.events.register("before-parse.s3.ListObjectsV2", _read_contents)
    return made


def _read_contents(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Read the objects of a listing: as botocore does it, that takes longer than all else together."""
    if response_dict["status_code"] != 200:
        return
    listing = ElementTree.fromstring(response_dict["body"])
    contents = [child for child in listing if _name_of(child) == "Contents"]
    for child in contents:
        listing.remove(child)
    customized_response_dict["Contents"] = [_read_object(child) for child in contents]
    response_dict["body"] = ElementTree.tostring(listing)


def _read_object(element: ElementTree.Element) -> dict[str, Any]:
    """What is used of an object, as botocore names it."""
    found: dict[str, Any] = {_name_of(child): child.text or "" for child in element if len(child) == 0}
    restored = [_name_of(part) for child in element if _name_of(child) == "RestoreStatus" for part in child]
    status = {"RestoreStatus": dict.fromkeys(restored)} if restored else {}
    return {"Key": found["Key"], "Size": int(found["Size"]), "StorageClass": found.get("StorageClass"), **status}


def _name_of(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _parse_time(text: str) -> datetime:
    """A time in an answer: ISO 8601 or an HTTP date. botocore's own way takes most of the time of a listing."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the key of `s3://bucket/key`. The key may be empty. Raises ValueError."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not separator or not bucket:
        raise ValueError(f"{uri[:200]!r} is no S3 URI; write s3://bucket/key")
    if len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        raise ValueError(f"the key of an S3 object has at most {MAX_KEY_BYTES} bytes; shorten it")
    return bucket, key


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


def s3_error(error: Exception, uri: str) -> str:
    """An error in one sentence: what is wrong, what would be right. No credential and no signature in it."""
    explained = explain(error, uri)
    return f"{explained.reason}; {explained.fix}"


def explain(error: Exception, uri: str) -> S3Problem:
    """What an error of botocore, a FileNotFoundError or a ValueError of this module means for a URI."""
    from botocore.exceptions import ClientError

    if isinstance(error, ValueError | FileNotFoundError):
        reason, _, fix = str(error).rpartition("; ")
        return S3Problem(reason or fix, fix if reason else "correct the URI")
    names = {kind.__name__ for kind in type(error).__mro__}
    if names.intersection(_NO_CREDENTIALS):
        fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
        return S3Problem("no S3 credentials were found", fix, is_systemic=True)
    if names.intersection(_UNREACHABLE):
        reason = f"S3 at {client().meta.endpoint_url} does not answer"
        return S3Problem(reason, "check AWS_ENDPOINT_URL and the network", is_systemic=True)
    if "ParamValidationError" in names:
        return S3Problem(f"{uri!r} is no S3 URI", "write s3://bucket/key")
    if isinstance(error, ClientError):
        return _explain_answer(error_code(error), error.response["ResponseMetadata"]["HTTPStatusCode"], uri)
    return S3Problem(f"S3 cannot be used ({type(error).__name__})", "check the AWS settings", is_systemic=True)


def _explain_answer(code: str, status: int, uri: str) -> S3Problem:
    bucket, key = split_uri(uri)
    if code == "NoSuchBucket":
        return S3Problem(f"there is no bucket {bucket!r}", "correct its name, or create it")
    if code in _NOT_FOUND:
        return S3Problem(f"there is no object {key!r} in the bucket {bucket!r}", "correct the URI")
    if code in DENIED:
        return S3Problem(f"access to s3://{bucket}/{key} is denied", "allow it to these credentials")
    if code == "InvalidObjectState":
        return S3Problem(f"s3://{bucket}/{key} is archived", "restore it to a class that can be read")
    if code == "PreconditionFailed":
        return S3Problem(f"s3://{bucket}/{key} was replaced while it was read", "run again")
    if code in _BAD_CREDENTIALS:
        fix = "correct or renew the credentials, the region and the clock"
        return S3Problem(f"S3 does not accept the credentials ({code})", fix, is_systemic=True)
    return S3Problem(f"S3 answered {status} ({code})", "run again later", is_systemic=status >= 500)


def _object(uri: str) -> dict[str, str]:
    bucket, key = split_uri(uri)
    if not key:
        raise ValueError(f"{uri!r} names a bucket and no object; write s3://bucket/key")
    return {"Bucket": bucket, "Key": key}


def errors() -> tuple[type[Exception], ...]:
    """What boto3 raises; a function, for the import takes its time."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


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


def error_code(error: Exception) -> str:
    """S3's code for an error, empty where S3 did not answer. HEAD has no body: its code is the status."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
