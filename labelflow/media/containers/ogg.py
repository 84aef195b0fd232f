"""Ogg: Opus, Vorbis, Speex, FLAC and Theora. The last page has the position of the last sample."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from labelflow.media.media import Duration, Kind
from labelflow.media.reading import read_at, read_tail

_HEAD, _TAIL = 64 * 1024, 128 * 1024  # bytes; a page has at most 65,307
_FIRST_OF_STREAM = 2
_NO_POSITION = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    position: int  # of the last sample that ends in this page
    serial: int
    content: bytes  # at least its first bytes

    @property
    def is_first(self) -> bool:
        return bool(self.flags & _FIRST_OF_STREAM)


@dataclass(frozen=True, slots=True)
class _Codec:
    kind: Kind
    rate: int  # samples per second, by which positions count
    preskip: int = 0  # samples at the start that are not played


def kind(head: bytes) -> Kind:
    """Return whether an Ogg file contains audio or video, by its first bytes."""
    codecs = [codec for page in _pages(head) if page.is_first and (codec := _codec(page.content))]
    kinds = {codec.kind for codec in codecs}
    return "video" if "video" in kinds else "audio" if kinds else "unknown"


def duration(file: BinaryIO) -> Duration | None:
    """Return the duration of the first audio stream; None if others follow it, such as in a recorded broadcast."""
    streams: dict[int, _Codec] = {}
    first_positions: dict[int, int] = {}
    for page in _pages(read_at(file, 0, _HEAD)):
        codec = _codec(page.content) if page.is_first else None
        if codec and codec.kind == "audio":
            streams[page.serial] = codec
        if not page.is_first and page.position not in (0, _NO_POSITION):
            first_positions.setdefault(page.serial, page.position)
    ends = {page.serial: page.position for page in _pages(read_tail(file, _TAIL)[1]) if page.position != _NO_POSITION}
    if not set(ends) & set(streams) or len(streams) > 1:
        return None
    serial = next(iter(streams))
    codec, end = streams[serial], ends[serial]
    start = first_positions.get(serial, 0)
    # A recording that was cut out of a longer stream starts at a later position. Its first page is about a second.
    skipped = start if start > 10 * codec.rate else codec.preskip
    return Duration(max(0, end - skipped) / codec.rate, 1.0 if start > 10 * codec.rate else 0.0)


def _pages(content: bytes) -> Iterator[_Page]:
    offset = content.find(b"OggS\0")
    while offset >= 0 and offset + 27 <= len(content):
        flags, position, serial = struct.unpack_from("<BQI", content, offset + 5)
        lacing = content[offset + 27 : offset + 27 + content[offset + 26]]
        start = offset + 27 + content[offset + 26]
        yield _Page(flags, position, serial, content[start : start + min(64, sum(lacing))])
        offset = content.find(b"OggS\0", start + sum(lacing))


def _codec(content: bytes) -> _Codec | None:
    """The codec of a stream by its first packet; None if it is none with a duration, such as a text stream."""
    if content.startswith(b"OpusHead"):
        return _Codec("audio", 48_000, int.from_bytes(content[10:12], "little"))
    if content.startswith(b"\x01vorbis"):
        return _Codec("audio", int.from_bytes(content[12:16], "little") or 1)
    if content.startswith(b"Speex   "):
        return _Codec("audio", int.from_bytes(content[36:40], "little") or 1)
    if content.startswith(b"\x7fFLAC"):
        return _Codec("audio", (int.from_bytes(content[27:30], "big") >> 4) or 1)
    return _Codec("video", 1) if content.startswith((b"\x80theora", b"OVP80", b"BBCD")) else None
