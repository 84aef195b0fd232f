"""The words of this package: what is looked at, how closely, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from labelflow.errors import StorageError
from labelflow.media import Media

HEAD_BYTES = 64 * 1024  # what one request brings of a file whose pixels or seconds are told
PEEK_BYTES = 4 * 1024  # what it brings where only the kind is told
MEASURE_BUDGET = 2 * 1024 * 1024  # bytes read beyond the head, at most, to find pixels or seconds
MEASURED_TYPES = ("image", "audio")  # kinds that have limits of size


class CheckLevel(StrEnum):
    """How closely attachments are looked at."""

    AUTO = "auto"  # http(s): as content; s3: content for images and audio, a listing for the rest
    CONTENT = "content"  # the first bytes of each: what it is, how many pixels, how long
    EXISTS = "exists"  # it is there, it is not empty, and its declared type fits
    OFF = "off"  # only the form of the URI


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment of a row: the field it stands in, its URI as the manifest gave it, its type.

    For the type `text` the URI is the text itself. Source: contract A "Creating".
    """

    field: str
    uri: str
    attachment_type: str


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A URI to look at, and whether its first bytes are asked for."""

    uri: str
    attachment_type: str
    content: bool

    @property
    def head_bytes(self) -> int:
        """How many of its first bytes to read."""
        return HEAD_BYTES if self.attachment_type in MEASURED_TYPES else PEEK_BYTES


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was found at a URI. Size in bytes, None where it is not told; `prefix` and `media` only from content.

    media: None where the content was not measured, or could not be within the budget.
    """

    size: int | None
    content_type: str | None
    head: bytes = b""
    media: Media | None = None


class AttachmentRejected(Exception):
    """An attachment that Scale could not use: what is wrong, what would be right. Never holds a URL's query."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.fix = fix


class StoreUnreachable(StorageError):
    """No attachment of a store can be looked at (no connection, no credentials): no row is at fault."""
