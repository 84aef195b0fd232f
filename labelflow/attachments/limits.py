"""What Scale takes, per attachment type. Source: contract A "Creating", contract B "Attachments"."""

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
_AMBIGUOUS_CONTAINERS = re.compile(rb"OggS|.{4}ftyp|\x1aE\xdf\xa3", re.DOTALL)  # containers of either
_UNINFORMATIVE_TYPES = re.compile(r"octet-stream|unknown|download|^\*/\*$|/(ogg|mp4|.*mpegurl|dash\+xml)$")


def validate(attachment_type: str, seen: ProbeResult) -> AttachmentRejected | None:
    """Why Scale could not use what was found, None where it can or where nothing speaks against it."""
    if seen.size == 0:
        return AttachmentRejected("is empty (0 bytes)", "upload the file again, or remove the row")
    if attachment_type not in _NAMES:
        return None
    kinds = _kinds(seen)
    if kinds and not kinds & _ACCEPTED_KINDS[attachment_type]:
        return _mismatch(min(kinds), attachment_type, seen.content_type)
    check = _CHECKS.get(attachment_type)
    return check(seen) if check and kinds and seen.head else None


def _kinds(seen: ProbeResult) -> set[str]:
    """What it may be: the bytes decide, then the declared type; nothing where neither says."""
    declared: str = kind_of_content_type(seen.content_type)
    if _AMBIGUOUS_CONTAINERS.match(seen.head):
        return {declared} if declared in ("audio", "video") else {"audio", "video"}
    by_bytes = kind_of_bytes(seen.head) if seen.head else "unknown"
    if by_bytes != "unknown":
        return {by_bytes}
    if declared != "unknown":
        return {declared}
    media_type = _media_type(seen.content_type)
    return {"other"} if media_type and not _UNINFORMATIVE_TYPES.search(media_type) else set()


def _mismatch(kind: str, attachment_type: str, content_type: str | None) -> AttachmentRejected:
    media_type, wanted = _media_type(content_type), _NAMES[attachment_type]
    if kind == "other":
        found = f"is {media_type}"
    elif not media_type:
        found = f"is {_NAMES[kind]}"
    elif kind_of_content_type(media_type) in (kind, "unknown"):
        found = f"is {_NAMES[kind]} ({media_type})"
    else:
        found = f"is {_NAMES[kind]} (declared as {media_type})"
    if kind == "website":
        return AttachmentRejected(
            f"{found}, not {wanted}", "use the URL of the file itself, not of a page that shows it"
        )
    return AttachmentRejected(f"{found}, not {wanted}", "correct the URL or the attachment_type, or remove the row")


def _check_image(seen: ProbeResult) -> AttachmentRejected | None:
    if not seen.head.startswith(_IMAGE_STARTS):
        found = _media_type(seen.content_type) or "an image"
        if kind_of_bytes(seen.head) == "image":
            return AttachmentRejected(f"is {found} in a format that is not taken", f"convert it to {_IMAGE_FORMATS}")
        return AttachmentRejected(f"is declared as {found}, but its content is no {_IMAGE_FORMATS}", "correct the file")
    if seen.media is None:
        return None
    width, height = seen.media.width, seen.media.height
    if width is None or height is None:
        return AttachmentRejected("is a damaged image: its size cannot be read", "upload the file again")
    if max(width, height) > MAX_IMAGE_SIDE:
        fix = f"scale it down to at most {MAX_IMAGE_SIDE:,} pixels a side"
        return AttachmentRejected(f"is {width} × {height} pixels", fix)
    return None


def _check_audio(seen: ProbeResult) -> AttachmentRejected | None:
    seconds = seen.media.seconds if seen.media else None
    if seconds is None or seconds <= MAX_AUDIO_SECONDS:
        return None
    longer = f"{seconds / 60:.1f} minutes" if seconds >= MAX_AUDIO_SECONDS + 6 else f"{seconds:.1f} seconds"
    return AttachmentRejected(
        f"is {longer} long", f"cut it into pieces of at most {MAX_AUDIO_SECONDS / 60:.0f} minutes"
    )


def _media_type(content_type: str | None) -> str:
    """The media type alone, cut to a length that a message can show."""
    return (content_type or "").split(";")[0].strip().lower()[:60]


_CHECKS: dict[str, Callable[[ProbeResult], AttachmentRejected | None]] = {"image": _check_image, "audio": _check_audio}
