"""Kind, size and duration of media files, read from their headers.

The attachment checks use it before tasks are created; the sandbox uses it to draw boxes inside the image.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import BinaryIO, Literal

from PIL import Image, UnidentifiedImageError
from tinytag import TinyTag, TinyTagException

warnings.filterwarnings("ignore", module=r"PIL\.")  # a corrupt file is reported by its kind
Image.MAX_IMAGE_PIXELS = None  # only headers are read: a decompression bomb does no harm

Kind = Literal["image", "audio", "video", "website", "pdf", "text", "unknown"]


@dataclass(frozen=True, slots=True)
class Media:
    """The kind of a file, its width and height in pixels, its duration in seconds; None if unknown."""

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


def kind_of_bytes(prefix: bytes) -> Kind:
    """Return the kind of a file from its first bytes; 32 are enough. `unknown` if no signature matches.

    >>> kind_of_bytes(b"%PDF-1.7")
    'pdf'
    """
    for offset, signature, kind in _SIGNATURES:
        if prefix[offset : offset + len(signature)] == signature:
            return kind
    text_start = prefix.lstrip(b"\xef\xbb\xbf \t\r\n")[:32].lower()
    return "website" if text_start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else "unknown"


def kind_of_content_type(content_type: str | None) -> Kind:
    """Return the kind of a `Content-Type` header; `unknown` if it is missing or has no kind.

    >>> kind_of_content_type("image/png")
    'image'
    """
    media_type = (content_type or "").split(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml"):
        return "website"
    if media_type == "application/pdf":
        return "pdf"
    family = media_type.split("/")[0]
    return family if family in ("image", "audio", "video", "text") else "unknown"  # type: ignore[return-value]


def probe_file(file: BinaryIO, content_type: str | None = None) -> Media:
    """Return the kind, size and duration of a seekable file. Reads its headers only.

    content_type: used if the first bytes match no signature.
    """
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
