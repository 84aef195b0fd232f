"""Pixel sizes of images, and whether a JPEG is complete."""

from __future__ import annotations

import warnings
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from labelflow.media.reading import file_size, read_at

warnings.filterwarnings("ignore", module=r"PIL\.")  # a corrupt file is reported by its kind
Image.MAX_IMAGE_PIXELS = None  # only headers are read: a decompression bomb does no harm

_ORIENTATION = 0x0112  # the EXIF tag
_TURNED = (5, 6, 7, 8)  # by 90 degrees
_TAIL = 64 * 1024  # bytes at the end in which a complete JPEG has its end marker, or data that follows it
_END = 0xD9
_IN_SCAN = (0x00, *range(0xD0, 0xD8), 0xFF, 0xC4, 0xDA, 0xDB, 0xDD, 0xFE)  # second bytes of markers within a picture


def image_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return width and height as people see the image, in pixels; None if its header cannot be read."""
    file.seek(0)
    try:
        with Image.open(file) as image:
            width, height = image.size
            return (height, width) if _is_turned(image) else (width, height)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def is_jpeg_cut_off(file: BinaryIO) -> bool:
    """Return whether the end of a JPEG is missing. Data after its end, such as a video of the moment, is allowed."""
    start = max(0, file_size(file) - _TAIL)
    tail = read_at(file, start, _TAIL)
    if start == 0:
        tail = tail[tail.rfind(b"\xff\xda") :]  # a preview in the header has an end of its own
    markers = {tail[offset + 1] for offset in _offsets(tail) if offset + 1 < len(tail)}
    return _END not in markers and bool(markers) and markers.issubset(_IN_SCAN)


def _offsets(content: bytes) -> list[int]:
    return [offset for offset, byte in enumerate(content) if byte == 0xFF]


def _is_turned(image: Image.Image) -> bool:
    # For a PNG getexif() reads the pixels if the header has no EXIF data; a TIFF is turned by Pillow itself.
    if image.format == "TIFF" or "exif" not in image.info:
        return False
    try:
        return image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # arbitrary bytes: the image is shown as it is
        return False
