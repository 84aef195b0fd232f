"""Matroska and WebM. A recording of a browser has no duration in its header: the last block shows it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from labelflow.media.media import Duration, Kind
from labelflow.media.reading import InvalidMedia, file_size, read_at, read_tail

_SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE, _DURATION, _TRACK, _TYPE, _VIDEO = 0x2AD7B1, 0x4489, 0xAE, 0x83, 0xE0
_WIDTH, _HEIGHT, _TIMECODE, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = 0xB0, 0xBA, 0xE7, 0xA3, 0xA0, 0xA1
_CLUSTER_ID = _CLUSTER.to_bytes(4, "big")
_TAIL = 1024 * 1024  # bytes searched for the last cluster
_MAX_HEADER = 256 * 1024  # bytes of Info or Tracks
_MAX_ELEMENTS = 1000
_KINDS: dict[int, Kind] = {1: "video", 2: "audio"}


@dataclass(frozen=True, slots=True)
class _Element:
    """An element. start, stop: of its content; stop is None if the size is unknown."""

    id: int
    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class Matroska:
    """What a Matroska file contains. kind: unknown without tracks of audio or video."""

    kind: Kind = "unknown"
    width: int | None = None
    height: int | None = None
    duration: Duration | None = None


def read(file: BinaryIO) -> Matroska:
    """Read the tracks and the duration of a Matroska file."""
    size, info, tracks = file_size(file), b"", b""
    segment_stop: int | None = None
    for element in _top_elements(file, size):
        if element.id == _SEGMENT:
            segment_stop = element.stop
        elif element.id == _CLUSTER:
            break
        elif element.id in (_INFO, _TRACKS) and element.stop is not None:
            content = read_at(file, element.start, min(element.stop - element.start, _MAX_HEADER))
            info, tracks = (content, tracks) if element.id == _INFO else (info, content)
    kind, width, height = _parse_tracks(tracks)
    scale, declared = _parse_info(info)
    is_complete = segment_stop is not None and segment_stop <= size
    seconds = declared if declared and is_complete else _last_timestamp(file, scale)
    return Matroska(kind, width, height, Duration(seconds) if seconds else None)


def _top_elements(file: BinaryIO, size: int) -> Iterator[_Element]:
    """The elements of the segment, and the segment itself, in order."""
    position = 0
    for _ in range(_MAX_ELEMENTS):
        if position >= size:
            return
        element = _element(read_at(file, position, 12), 0)
        start = position + element.start
        stop = None if element.stop is None else position + element.stop
        yield _Element(element.id, start, stop)
        if element.id == _SEGMENT:
            position = start
        elif stop is None:
            return
        else:
            position = stop


def _element(content: bytes, offset: int) -> _Element:
    if offset >= len(content) or not content[offset]:
        raise InvalidMedia(f"no element at byte {offset}")
    id_length = 9 - content[offset].bit_length()
    at = offset + id_length
    if id_length > 4 or at >= len(content) or not content[at]:
        raise InvalidMedia(f"no element at byte {offset}")
    length = 9 - content[at].bit_length()
    if at + length > len(content):
        raise InvalidMedia(f"no element at byte {offset}")
    value = int.from_bytes(content[at : at + length], "big") & (1 << 7 * length) - 1
    start = at + length
    is_unknown = value == (1 << 7 * length) - 1
    return _Element(int.from_bytes(content[offset:at], "big"), start, None if is_unknown else start + value)


def _children(content: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(content):
        try:
            element = _element(content, offset)
        except InvalidMedia:
            return
        offset = len(content) if element.stop is None else element.stop
        yield element.id, content[element.start : offset]


def _parse_tracks(content: bytes) -> tuple[Kind, int | None, int | None]:
    tracks = [dict(_children(track)) for name, track in _children(content) if name == _TRACK]
    kinds = {_KINDS.get(int.from_bytes(track.get(_TYPE, b""), "big")) for track in tracks}
    video = next((dict(_children(track[_VIDEO])) for track in tracks if _VIDEO in track), {})
    width, height = (int.from_bytes(video.get(name, b""), "big") or None for name in (_WIDTH, _HEIGHT))
    return ("video" if "video" in kinds else "audio" if "audio" in kinds else "unknown"), width, height


def _parse_info(content: bytes) -> tuple[float, float]:
    """Seconds per unit of time, and the duration in seconds, 0 if it is not there."""
    fields = dict(_children(content))
    scale = int.from_bytes(fields.get(_SCALE, b""), "big") or 1_000_000
    raw = fields.get(_DURATION, b"")
    units = struct.unpack(">d" if len(raw) == 8 else ">f", raw)[0] if len(raw) in (4, 8) else 0.0
    return scale / 1e9, max(0.0, units) * scale / 1e9


def _last_timestamp(file: BinaryIO, scale: float) -> float | None:
    """The time of the last block in seconds; None if the end of the file has no cluster."""
    _, tail = read_tail(file, _TAIL)
    offset = tail.rfind(_CLUSTER_ID)
    while offset >= 0:
        last = _last_of_cluster(tail, offset)
        if last is not None:
            return last * scale
        offset = tail.rfind(_CLUSTER_ID, 0, offset)
    return None


def _last_of_cluster(content: bytes, offset: int) -> int | None:
    try:
        cluster = _element(content, offset)
    except InvalidMedia:
        return None
    timecode, latest = None, 0
    for name, value in _children(content[cluster.start : cluster.stop]):
        if name == _TIMECODE:
            timecode = int.from_bytes(value, "big")
        block = value if name == _SIMPLE_BLOCK else dict(_children(value)).get(_BLOCK) if name == _BLOCK_GROUP else None
        if block and len(block) >= 4:
            latest = max(latest, int.from_bytes(block[1:3], "big", signed=True))
    return None if timecode is None else timecode + latest
