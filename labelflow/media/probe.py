"""Judge and measure a file by its content."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from tinytag import TinyTag, TinyTagException

from labelflow.media.containers import adts, amr, flac, matroska, mp4, mpeg, ogg, wav
from labelflow.media.images import image_size, is_jpeg_cut_off
from labelflow.media.media import Duration, Format, Media
from labelflow.media.reading import read_at
from labelflow.media.signatures import JPEG, contained_kind, identify, kind_of_content_type

HEAD_BYTES = 4096  # by which the format is identified


def probe_file(file: BinaryIO, content_type: str | None = None) -> Media:
    """Return what a seekable file contains, and measure it. Reads the parts that show it, at most a few megabytes.

    content_type: gives the kind if the content does not.
    What cannot be parsed is not measured. Raises OSError if the file cannot be read.
    """
    head = read_at(file, 0, HEAD_BYTES)
    known = identify(head)
    try:
        return _probe(file, head, known, content_type)
    except (ValueError, IndexError, KeyError, OverflowError, TinyTagException, struct.error):
        return Media(contained_kind(known, head) if known else "unknown", known)


def _probe(file: BinaryIO, head: bytes, known: Format | None, content_type: str | None) -> Media:
    if known is None:
        kind = kind_of_content_type(content_type)  # an MP3 may start with zeros, or with the rest of a frame
        return Media(kind, duration=mpeg.duration(file) if kind == "audio" else None)
    if known.kind == "image":
        return _probe_image(file, known)
    if probe := _CONTAINERS.get(known.name):
        return probe(file, known)
    measure = _DURATIONS.get(known.name)
    return Media(contained_kind(known, head), known, duration=measure(file) if measure else None)


def _probe_image(file: BinaryIO, known: Format) -> Media:
    size = image_size(file)
    if size is None:
        return Media("image", known)
    return Media("image", known, *size, is_cut_off=known is JPEG and is_jpeg_cut_off(file))


def _probe_mp4(file: BinaryIO, known: Format) -> Media:
    found = mp4.read(file)
    kind = known.kind if found.kind == "unknown" else found.kind
    return Media(kind, known, found.width, found.height, found.duration)


def _probe_matroska(file: BinaryIO, known: Format) -> Media:
    found = matroska.read(file)
    return Media(found.kind, known, found.width, found.height, found.duration)


def _by_header(file: BinaryIO) -> Duration | None:
    file.seek(0)
    seconds = TinyTag.get(file_obj=file, tags=False, image=False).duration
    return Duration(seconds) if seconds else None


_CONTAINERS: dict[str, Callable[[BinaryIO, Format], Media]] = {"MP4": _probe_mp4, "WebM": _probe_matroska}
_DURATIONS: dict[str, Callable[[BinaryIO], Duration | None]] = {
    "WAV": wav.duration,
    "MP3": mpeg.duration,
    "AAC": adts.duration,
    "FLAC": flac.duration,
    "Ogg": ogg.duration,
    "AMR": amr.duration,
    "AIFF": _by_header,
    "ASF": _by_header,
}
