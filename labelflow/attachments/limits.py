"""What Scale accepts, per attachment type. Source: the 2017 API, "Creating"; the current API, "Attachments"."""

from __future__ import annotations

import re
from collections.abc import Callable

from labelflow.attachments.attachment import AttachmentRejected, ProbeResult
from labelflow.media import kind_of_bytes, kind_of_content_type
from labelflow.scale.models import MAX_AUDIO_SECONDS, MAX_IMAGE_SIDE

_NAMES = {
    "image": "an image",
    "audio": "audio",
    "video": "a video",
    "pdf": "a PDF",
    "website": "a web page",
    "text": "plain text",
}
_ACCEPTED_KINDS = {kind: {kind} for kind in _NAMES} | {"website": {"website", "text", "other"}}
_IMAGE_FORMATS = "JPEG, PNG, BMP, GIF or TIFF"
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8", b"II*\0", b"MM\0*")
_AMBIGUOUS_CONTAINERS = re.compile(rb"OggS|.{4}ftyp|\x1aE\xdf\xa3", re.DOTALL)  # contain audio or video
_UNINFORMATIVE_TYPES = re.compile(r"octet-stream|unknown|download|^\*/\*$|/(ogg|mp4|.*mpegurl|dash\+xml)$")


def validate(attachment_type: str, result: ProbeResult) -> AttachmentRejected | None:
    """Return why Scale cannot use an attachment, None if it can, or if the result does not show that it cannot."""
    if result.size == 0:
        return AttachmentRejected("is empty (0 bytes)", "upload the file again, or remove the row")
    if attachment_type not in _NAMES:
        return None
    kinds = _kinds(result)
    if kinds and not kinds & _ACCEPTED_KINDS[attachment_type]:
        return _mismatch(min(kinds), attachment_type, result.content_type)
    check = _CHECKS.get(attachment_type)
    return check(result) if check and kinds and result.head else None


def _kinds(result: ProbeResult) -> set[str]:
    """The possible kinds: by the first bytes, else by the declared type; empty if both are inconclusive."""
    declared: str = kind_of_content_type(result.content_type)
    if _AMBIGUOUS_CONTAINERS.match(result.head):
        return {declared} if declared in ("audio", "video") else {"audio", "video"}
    by_bytes = kind_of_bytes(result.head) if result.head else "unknown"
    if by_bytes != "unknown":
        return {by_bytes}
    if declared != "unknown":
        return {declared}
    media_type = _media_type(result.content_type)
    return {"other"} if media_type and not _UNINFORMATIVE_TYPES.search(media_type) else set()


def _mismatch(kind: str, attachment_type: str, content_type: str | None) -> AttachmentRejected:
    media_type, expected = _media_type(content_type), _NAMES[attachment_type]
    if kind == "other":
        actual = f"is {media_type}"
    elif not media_type:
        actual = f"is {_NAMES[kind]}"
    elif kind_of_content_type(media_type) in (kind, "unknown"):
        actual = f"is {_NAMES[kind]} ({media_type})"
    else:
        actual = f"is {_NAMES[kind]} (declared as {media_type})"
    if kind == "website":
        return AttachmentRejected(
            f"{actual}, not {expected}", "use the URL of the file itself, not of a page that shows it"
        )
    return AttachmentRejected(f"{actual}, not {expected}", "correct the URL or the attachment_type, or remove the row")


def _check_image(result: ProbeResult) -> AttachmentRejected | None:
    if not result.head.startswith(_IMAGE_STARTS):
        media_type = _media_type(result.content_type) or "an image"
        if kind_of_bytes(result.head) == "image":
            return AttachmentRejected(
                f"is {media_type}, which Scale does not accept", f"convert it to {_IMAGE_FORMATS}"
            )
        reason = f"is declared as {media_type}, but its content is not {_IMAGE_FORMATS}"
        return AttachmentRejected(reason, "correct the file")
    if result.media is None:
        return None
    width, height = result.media.width, result.media.height
    if width is None or height is None:
        return AttachmentRejected("is a corrupt image: its dimensions cannot be read", "upload the file again")
    if max(width, height) > MAX_IMAGE_SIDE:
        fix = f"resize it to at most {MAX_IMAGE_SIDE:,} pixels per side"
        return AttachmentRejected(f"is {width} × {height} pixels", fix)
    return None


def _check_audio(result: ProbeResult) -> AttachmentRejected | None:
    seconds = result.media.seconds if result.media else None
    if seconds is None or seconds <= MAX_AUDIO_SECONDS:
        return None
    duration = f"{seconds / 60:.1f} minutes" if seconds >= MAX_AUDIO_SECONDS + 6 else f"{seconds:.1f} seconds"
    return AttachmentRejected(
        f"is {duration} long", f"split it into parts of at most {MAX_AUDIO_SECONDS / 60:.0f} minutes"
    )


def _media_type(content_type: str | None) -> str:
    """The media type without parameters, truncated to a length that fits into a message."""
    return (content_type or "").split(";")[0].strip().lower()[:60]


_CHECKS: dict[str, Callable[[ProbeResult], AttachmentRejected | None]] = {"image": _check_image, "audio": _check_audio}
