"""The boto3 client, shared by all threads of a process, and the URIs and error codes of S3."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple
from xml.etree import ElementTree

from labelflow.errors import InvalidInput

MAX_KEY_BYTES = 1024  # bytes of UTF-8
MAX_CONNECTIONS = 64
_SETTINGS = (
    "AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY "
    "AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE"
).split()
_create_lock = threading.Lock()


def client(region: str | None = None) -> Any:
    """Return the S3 client of this process, for another region than that of the settings if one is given.

    It is thread-safe, and is replaced when the AWS_* settings change.

    It is boto3's low-level client, whose methods exist only at run time: hence Any.
    Raises InvalidInput if the endpoint is not a URL, or contains a password.
    """
    with _create_lock:  # it takes long to create: the first threads must not create one each
        return _client(os.getpid(), _settings(), region)


def _settings() -> tuple[str | None, ...]:
    return tuple(map(os.environ.get, _SETTINGS))


@lru_cache(maxsize=16)
def _client(pid: int, settings: tuple[str | None, ...], region: str | None) -> Any:
    import boto3
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_time)

    config = Config(
        user_agent="labelflow",  # botocore builds one for each request, an eighth of the request's CPU time
        signature_version="s3v4",
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 4},
        # S3-compatible stores often reject checksums that are sent as trailers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # boto3 itself uses path-style addresses for a custom endpoint.
    try:
        s3 = boto3.session.Session(botocore_session=session).client("s3", region_name=region, config=config)
    except ValueError:  # it contains the endpoint
        raise _invalid_endpoint("is not a valid URL") from None
    if "@" in s3.meta.endpoint_url:  # S3 does not use it, and messages show the endpoint
        raise _invalid_endpoint("contains an @, which separates a user name or password from the host")
    s3.meta.events.register("before-parse.s3.ListObjectsV2", _parse_contents)
    return s3


def bucket_region(bucket: str) -> str | None:
    """Return the region that the URLs of a bucket must be signed for; None if the store does not tell it.

    Costs one request per bucket and process. Raises botocore's error after a status 5xx, or if S3 does not respond;
    the next call asks again.
    """
    return _bucket_region(os.getpid(), _settings(), bucket)


@lru_cache(maxsize=1024)
def _bucket_region(pid: int, settings: tuple[str | None, ...], bucket: str) -> str | None:
    from botocore.exceptions import ClientError

    response: Mapping[str, Any]
    try:
        response = client().head_bucket(Bucket=bucket)
    except ClientError as error:
        response = error.response
        if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
            raise  # any other response names the region, also one that denies access
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = response.get("BucketRegion") or headers.get("x-amz-bucket-region")
    return str(region) if region else None


class TemporaryCredentials(NamedTuple):
    """Credentials with a session token. end: when they, and all URLs that they sign, end (UTC); None if not known."""

    end: datetime | None


def temporary_credentials() -> TemporaryCredentials | None:
    """Return the client's credentials if they are temporary, else None. Renews them if they end soon."""
    credentials = client()._request_signer._credentials
    if credentials is None or not credentials.get_frozen_credentials().token:
        return None
    return TemporaryCredentials(getattr(credentials, "_expiry_time", None))  # botocore has no public name for it


def _invalid_endpoint(reason: str) -> InvalidInput:
    fix = "use http://HOST:PORT or https://HOST; keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return InvalidInput("AWS_ENDPOINT_URL", reason, fix)


def _parse_contents(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Parse the objects of a listing: botocore's own parser takes most of the time of a listing."""
    if response_dict["status_code"] != 200:
        return
    listing = ElementTree.fromstring(response_dict["body"])
    contents = [child for child in listing if _tag_name(child) == "Contents"]
    for child in contents:
        listing.remove(child)
    customized_response_dict["Contents"] = [_parse_object(child) for child in contents]
    response_dict["body"] = ElementTree.tostring(listing)


def _parse_object(element: ElementTree.Element) -> dict[str, Any]:
    """The fields of an object that are used here, with botocore's names."""
    fields: dict[str, Any] = {_tag_name(child): child.text or "" for child in element if len(child) == 0}
    restored = [_tag_name(part) for child in element if _tag_name(child) == "RestoreStatus" for part in child]
    status = {"RestoreStatus": dict.fromkeys(restored)} if restored else {}
    return {"Key": fields["Key"], "Size": int(fields["Size"]), "StorageClass": fields.get("StorageClass"), **status}


def _tag_name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _parse_time(text: str) -> datetime:
    """Parse a time in a response: ISO 8601 or an HTTP date. botocore's own parser is much slower."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def split_uri(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into bucket and key. The key may be empty and is not decoded. Raises ValueError.

    Example:
        split_uri("s3://bucket/a%20b.jpg")  # ("bucket", "a%20b.jpg")
    """
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not separator or not bucket:
        raise ValueError(f"{uri[:200]!r} is not a valid S3 URI; use s3://bucket/key")
    if len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        raise ValueError(f"the key of an S3 object may have at most {MAX_KEY_BYTES} bytes; shorten it")
    return bucket, key


def errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that boto3 raises. A function, because importing botocore is slow."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def error_code(error: Exception) -> str:
    """Return the S3 code of an error, "" if S3 did not respond. For HEAD, which has no body, it is the HTTP status."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
