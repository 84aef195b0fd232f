"""What Scale accepts, per attachment type. Source: the 2017 API, "Creating"; the current API, "Attachments"."""

from __future__ import annotations

import re

from labelflow.attachments.attachment import AttachmentRejected, ProbeResult
from labelflow.media import Format, identify, kind_of_content_type
from labelflow.media.signatures import contained_kind
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
_ACCEPTED_IMAGES = ("JPEG", "PNG", "BMP", "GIF", "TIFF")
_UNINFORMATIVE_TYPES = re.compile(r"octet-stream|unknown|download|^\*/\*$|/(ogg|mp4|.*mpegurl|dash\+xml)$")


def validate(attachment_type: str, result: ProbeResult, *, accept_unmeasured: bool = True) -> AttachmentRejected | None:
    """Return why Scale cannot use an attachment, None if it can, or if the result does not show that it cannot.

    accept_unmeasured: whether audio whose length could not be measured is accepted.
    """
    if result.size == 0:
        return AttachmentRejected("is empty (0 bytes)", "upload the file again, or remove the row")
    if attachment_type not in _NAMES:
        return None
    known = identify(result.head) if result.head else None
    kinds = _kinds(result, known)
    if kinds and not kinds & _ACCEPTED_KINDS[attachment_type]:
        return _mismatch(min(kinds), known, attachment_type, result.content_type)
    if not result.head:
        return None
    if attachment_type == "image":
        return _check_image(result, known)
    return _check_audio(result, accept_unmeasured) if attachment_type == "audio" else None


def is_unmeasured(attachment_type: str, result: ProbeResult) -> bool:
    """Return whether an attachment is audio whose content was read, and whose length could not be measured."""
    return attachment_type == "audio" and bool(result.head) and not (result.media and result.media.duration)


def _kinds(result: ProbeResult, known: Format | None) -> set[str]:
    """The possible kinds: by the content, else by the declared type; empty if both are inconclusive."""
    declared: str = kind_of_content_type(result.content_type)
    if known is not None:
        by_content = result.media.kind if result.media else contained_kind(known, result.head)
        if by_content != "unknown":
            return {by_content}
        return {declared} if declared in ("audio", "video") else {"audio", "video"}
    if declared != "unknown":
        return {declared}
    media_type = _media_type(result.content_type)
    return {"other"} if media_type and not _UNINFORMATIVE_TYPES.search(media_type) else set()


def _mismatch(kind: str, known: Format | None, attachment_type: str, content_type: str | None) -> AttachmentRejected:
    media_type, expected = _media_type(content_type), _NAMES[attachment_type]
    actual = f"is {_NAMES[kind]}" if kind in _NAMES else f"is {known.description}" if known else f"is {media_type}"
    if media_type and kind_of_content_type(media_type) in (kind, "unknown") and kind != "other":
        actual += f" ({media_type})"
    elif media_type and (known or kind in _NAMES):
        actual += f" (declared as {media_type})"
    if kind == "website":
        return AttachmentRejected(
            f"{actual}, not {expected}", "use the URL of the file itself, not of a page that shows it"
        )
    return AttachmentRejected(f"{actual}, not {expected}", "correct the URL or the attachment_type, or remove the row")


def _check_image(result: ProbeResult, known: Format | None) -> AttachmentRejected | None:
    if known is None:
        declared = f"is declared as {_media_type(result.content_type)}, but its" if result.content_type else "its"
        return AttachmentRejected(f"{declared} content is not {_IMAGE_FORMATS}", "correct the file")
    if known.name not in _ACCEPTED_IMAGES:
        reason = f"is {known.description}, which Scale does not accept"
        return AttachmentRejected(reason, f"convert it to {_IMAGE_FORMATS}")
    if result.media is None:
        return None
    width, height = result.media.width, result.media.height
    if width is None or height is None:
        return AttachmentRejected("is a corrupt image: its dimensions cannot be read", "upload the file again")
    if result.media.is_cut_off:
        return AttachmentRejected("is a JPEG image that is cut off: its end is missing", "upload the file again")
    if max(width, height) > MAX_IMAGE_SIDE:
        fix = f"resize it to at most {MAX_IMAGE_SIDE:,} pixels per side"
        return AttachmentRejected(f"is {width} × {height} pixels", fix)
    return None


def _check_audio(result: ProbeResult, accept_unmeasured: bool) -> AttachmentRejected | None:
    duration = result.media.duration if result.media else None
    if duration and duration.seconds + duration.error <= MAX_AUDIO_SECONDS:
        return None
    if duration and duration.seconds - duration.error > MAX_AUDIO_SECONDS:
        return _too_long(duration.seconds)
    if accept_unmeasured:
        return None
    fix = "convert it to WAV or FLAC, or set `attachments.unmeasured: accept` in the job"
    return AttachmentRejected("is audio whose length could not be measured", fix)


def _too_long(seconds: float) -> AttachmentRejected:
    text = f"{seconds / 60:.1f} minutes" if seconds >= MAX_AUDIO_SECONDS + 6 else f"{seconds:.1f} seconds"
    return AttachmentRejected(f"is {text} long", f"split it into parts of at most {MAX_AUDIO_SECONDS / 60:.0f} minutes")


def _media_type(content_type: str | None) -> str:
    """The media type without parameters, truncated to a length that fits into a message."""
    return (content_type or "").split(";")[0].strip().lower()[:60]
