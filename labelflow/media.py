"""What an attachment is, told from its first bytes: the kind of file, pixels, seconds.

Both sides need it. The pipeline looks before money is spent; the sandbox draws boxes inside the picture.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import BinaryIO, Literal

from PIL import Image, UnidentifiedImageError
from tinytag import TinyTag, TinyTagException

warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files: they are told as such
Image.MAX_IMAGE_PIXELS = None  # only headers are read here: a huge picture is to be measured, not feared

Kind = Literal["image", "audio", "video", "website", "pdf", "text", "unknown"]


@dataclass(frozen=True, slots=True)
class Media:
    """What a file is. Sides in pixels, length in seconds, None where they could not be told."""

    kind: Kind
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


_SIGNATURES: list[tuple[int, bytes, Kind]] = [
    (0, b"\xff\xd8\xff", "image"),
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"GIF8", "image"),
    (0, b"BM", "image"),
    (0, b"II*\0", "image"),
    (0, b"MM\0*", "image"),
    (8, b"WEBP", "image"),
    (8, b"WAVE", "audio"),
    (0, b"ID3", "audio"),
    (0, b"\xff\xfb", "audio"),
    (0, b"\xff\xf3", "audio"),
    (0, b"\xff\xf2", "audio"),
    (0, b"fLaC", "audio"),
    (0, b"OggS", "audio"),
    (0, b"FORM", "audio"),
    (4, b"ftypM4A", "audio"),
    (4, b"ftyp", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"%PDF-", "pdf"),
]


def kind_of_bytes(head: bytes) -> Kind:
    """The kind that a file's first bytes (32 are enough) give away."""
    for offset, signature, kind in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    text_start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:32].lower()
    return "website" if text_start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else "unknown"


def kind_of_content_type(content_type: str | None) -> Kind:
    """The kind that a `Content-Type` header claims; `unmatched_count` for none, or one that says nothing."""
    media_type = (content_type or "").split(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml"):
        return "website"
    if media_type == "application/pdf":
        return "pdf"
    family = media_type.split("/")[0]
    return family if family in ("image", "audio", "video", "text") else "unknown"  # type: ignore[return-value]


def probe_file(file: BinaryIO, content_type: str | None = None) -> Media:
    """Tell what a seekable file is. Reads headers only; whatever cannot be told stays None."""
    file.seek(0)
    kind = kind_of_bytes(file.read(64))
    if kind == "unknown":
        kind = kind_of_content_type(content_type)
    if kind == "image":
        return _probe_image(file)
    if kind in ("audio", "video"):
        return Media(kind, seconds=_duration(file))
    return Media(kind)


def _probe_image(file: BinaryIO) -> Media:
    file.seek(0)
    try:
        with Image.open(file) as image:
            return Media("image", width=image.width, height=image.height)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return Media("unknown")


def _duration(file: BinaryIO) -> float | None:
    file.seek(0)
    try:
        return TinyTag.get(file_obj=file, tags=False, image=False).duration
    except (TinyTagException, OSError, ValueError):
        return None
