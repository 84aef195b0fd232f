"""The types of this package: attachments, check levels, probe requests and results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from labelflow.errors import StorageError
from labelflow.media import Media, identify
from labelflow.problems import Problem

HEAD_BYTES = 64 * 1024  # read first if pixels or duration are checked
PEEK_BYTES = 4 * 1024  # read if only the kind is checked
MEASURE_BUDGET = 4 * 1024 * 1024  # maximum number of bytes read beyond the first ones to find pixels or duration
MEASURED_TYPES = ("image", "audio", "video")  # attachment types whose pixels or duration are measured
READ_TYPES = ("image", "audio")  # those with limits: level `auto` reads their content in S3, too


class CheckLevel(StrEnum):
    """How thoroughly attachments are checked."""

    AUTO = "auto"  # http(s): content; s3: content for images and audio, exists for the rest
    CONTENT = "content"  # read the first bytes: kind, pixels, duration
    EXISTS = "exists"  # exists, is not empty, has a matching declared type
    OFF = "off"  # only the syntax of the URI


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment of a row: its field in the task, its URI as in the manifest, its attachment type.

    For the type `text` the URI is the text itself. Source: the 2017 API, "Creating".
    """

    field: str
    uri: str
    attachment_type: str


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A URI to probe. content: whether to read its first bytes."""

    uri: str
    attachment_type: str
    content: bool

    @property
    def head_bytes(self) -> int:
        """Number of bytes to read first."""
        return HEAD_BYTES if self.attachment_type in MEASURED_TYPES else PEEK_BYTES


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What is at a URI.

    size: bytes, None if unknown. content_type: as declared by the store. head: the first bytes, empty unless content
    was requested. media: pixels or duration, None if they were not measured, or not found within the budget.
    """

    size: int | None
    content_type: str | None
    head: bytes = b""
    media: Media | None = None


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a check has found out about a file; None for what it did not.

    width, height: pixels as people see them, after the rotation that EXIF asks for. duration: seconds. content_type: by
    the content, else as declared. bytes: size of the file.
    """

    width: int | None
    height: int | None
    duration: float | None
    content_type: str | None
    bytes: int | None

    @classmethod
    def of(cls, result: ProbeResult) -> MediaInfo:
        """Return what a probe has found."""
        media, known = result.media, identify(result.head) if result.head else None
        return cls(
            width=media.width if media else None,
            height=media.height if media else None,
            duration=media.seconds if media else None,
            content_type=known.content_type if known else (result.content_type or "").split(";")[0].strip() or None,
            bytes=result.size,
        )


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result for one attachment. problem: None for a valid one. media: None without a probe, as for a text."""

    problem: Problem | None
    media: MediaInfo | None


class AttachmentRejected(Exception):
    """Scale cannot use an attachment: what is wrong, and how to fix it. Never contains the query of a URL."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.fix = fix


class StoreUnavailable(StorageError):
    """No attachment of a store can be checked (no connection, no credentials): no row is rejected for it."""
