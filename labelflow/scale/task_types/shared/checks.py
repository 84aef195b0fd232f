"""Field types and validators that several task types share."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ValidationInfo

from labelflow.lenient_json import dump_json
from labelflow.problems import abbreviate, validation_error
from labelflow.scale.models import MAX_METADATA_BYTES, MAX_TAGS

_SIMPLE_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/[!-~]*")  # fast path for almost all URLs
_SPACE = re.compile(r"\s")
_STORES = re.compile(r"(?:s3|gs|scaledata)://", re.IGNORECASE)  # which Scale reads with credentials of its own
_EMAIL = re.compile(r"[^@\s:/]+@[^@\s:/]+\.[^@\s:/]+")


def check_url(value: str) -> str:
    """Return an http or https URL unchanged. Raises PydanticCustomError if it has no host or contains white space."""
    if _SIMPLE_URL.fullmatch(value):
        return value
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme.lower() not in ("http", "https") or not host:
        reason = f"has the scheme {url.scheme}://" if "://" in value else f"got {abbreviate(value)}, not a valid URL"
        raise validation_error(reason, "use a URL that starts with http:// or https://")
    if _SPACE.search(value):
        raise validation_error("contains white space", "percent-encode it (a space is %20)")
    return value


def check_attachment_url(value: str) -> str:
    """Return the URL of an attachment unchanged: as `check_url`, or `s3://`, `gs://` or `scaledata://` (current API).

    Raises PydanticCustomError.
    """
    return value if _STORES.match(value) else check_url(value)


def check_callback_url(value: str) -> str:
    """Return a URL or an e-mail address unchanged. Raises PydanticCustomError."""
    if _EMAIL.fullmatch(value):
        return value
    try:
        return check_url(value)
    except ValueError:
        raise validation_error(
            f"got {abbreviate(value)}", "use a URL that starts with http:// or https://, or an e-mail address"
        ) from None


def check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata unchanged. Raises PydanticCustomError if its JSON has more than MAX_METADATA_BYTES."""
    size = len(dump_json(metadata))
    if size > MAX_METADATA_BYTES:
        raise validation_error(
            f"is {size:,} bytes of JSON", f"Scale takes at most {MAX_METADATA_BYTES:,}; leave out long values"
        )
    return metadata


def check_tags(tags: list[str]) -> list[str]:
    """Return tags unchanged. Raises PydanticCustomError if there are more than MAX_TAGS."""
    if len(tags) > MAX_TAGS:
        raise validation_error(f"has {len(tags)} tags", f"give at most {MAX_TAGS}")
    return tags


def check_text(value: str) -> str:
    """Return a text unchanged. Raises PydanticCustomError if it is empty."""
    if not value.strip():
        raise validation_error("is empty", "use a non-empty string")
    return value


def not_empty(minimum: str) -> AfterValidator:
    """Return a validator that rejects an empty list or object. minimum: for the message, like `one label`."""

    def check(value: Any) -> Any:
        if not value:
            raise validation_error("is empty", f"give at least {minimum}")
        return value

    return AfterValidator(check)


def max_items(limit: int, noun: str) -> AfterValidator:
    """Return a validator that rejects longer lists. Source of the limits: 2017 API, "Creating"; current API.

    noun: what the items are, for the message.
    """

    def check(values: list[Any]) -> list[Any]:
        if len(values) > limit:
            raise validation_error(f"has {len(values)} {noun}", f"give at most {limit}, or split the job in two")
        return values

    return AfterValidator(check)


def check_attachment(value: str, info: ValidationInfo) -> str:
    """Return an attachment unchanged; check it as a URL unless `attachment_type` is `text`.

    `attachment_type` must be declared before the attachment: pydantic validates fields in order.
    """
    return value if info.data.get("attachment_type") in ("text", None) else check_attachment_url(value)


def require_one_of(model: BaseModel, *fields: str) -> None:
    """Raise PydanticCustomError if all of the fields are None."""
    if all(getattr(model, field) is None for field in fields):
        names = " or ".join(f"`{field}`" for field in fields)
        raise validation_error(f"none of {names} was given", f"give at least one of {names}")


Text = Annotated[str, AfterValidator(check_text)]
Url = Annotated[str, AfterValidator(check_attachment_url)]
FieldDescriptions = Annotated[dict[str, str], not_empty("one key")]
Labels = Annotated[list[Text], not_empty("one label")]
AnyAttachmentType = Literal["text", "image", "video", "audio", "website", "pdf"]
