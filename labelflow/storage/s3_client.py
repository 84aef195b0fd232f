"""The boto3 client, shared by all threads of a process."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

MAX_KEY_BYTES = 1024  # bytes of UTF-8
CONNECTIONS = 64
_SETTINGS = (
    "AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY "
    "AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE"
).split()
_creating = threading.Lock()


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


def errors() -> tuple[type[Exception], ...]:
    """What boto3 raises; a function, for the import takes its time."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def error_code(error: Exception) -> str:
    """S3's code for an error, empty where S3 did not answer. HEAD has no body: its code is the status."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
