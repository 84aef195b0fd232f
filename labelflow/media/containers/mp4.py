"""MP4 and QuickTime, also fragmented. Only the media data that is in the file counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from labelflow.media.media import Duration, Kind
from labelflow.media.reading import file_size, read_at, read_tail

_MAX_BOXES = 1000
_MAX_MOOV = 1024 * 1024  # bytes; the boxes that are read are at the start of each track
_TAIL = 1024 * 1024  # bytes searched for the last fragment
_HANDLERS: dict[bytes, Kind] = {b"vide": "video", b"soun": "audio"}


@dataclass(frozen=True, slots=True)
class Mp4:
    """What an MP4 file contains. kind: unknown without tracks of audio or video."""

    kind: Kind = "unknown"
    width: int | None = None
    height: int | None = None
    duration: Duration | None = None


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    kind: Kind
    timescale: int
    seconds: float
    width: int
    height: int


Box = tuple[bytes, int, int]  # type, start of the content, end; the end may be beyond the end of the file


def read(file: BinaryIO) -> Mp4:
    """Read the tracks and the duration of an MP4 file."""
    size, moov = file_size(file), b""
    is_complete = True
    for name, start, stop in _boxes(file, size):
        is_complete &= stop <= size
        if name == b"moov":
            moov = read_at(file, start, min(stop - start, _MAX_MOOV))
        if name == b"moof" and moov:  # fragments follow, until the end
            break
    tracks = [track for name, content in _children(moov) if name == b"trak" and (track := _track(content))]
    if not tracks:
        return Mp4()
    main = next((track for track in tracks if track.kind == "video"), tracks[0])
    is_fragmented = any(name == b"mvex" for name, _ in _children(moov))
    seconds = _end_of_fragments(file, tracks) if is_fragmented else max(track.seconds for track in tracks)
    duration = Duration(seconds) if seconds and (is_complete or is_fragmented) else None
    return Mp4(main.kind, main.width or None, main.height or None, duration)


def _boxes(file: BinaryIO, size: int) -> Iterator[Box]:
    position = 0
    for _ in range(_MAX_BOXES):
        head = read_at(file, position, 16)
        if len(head) < 8:
            return
        name, start, stop = _header(head, 0)
        stop = size if stop == 0 else position + stop
        yield name, position + start, stop
        if stop <= position:
            return
        position = stop


def _header(content: bytes, offset: int) -> Box:
    """Type, start of the content and end, relative to `offset`; the end is 0 if the box is the last one."""
    length, name = int.from_bytes(content[offset : offset + 4], "big"), content[offset + 4 : offset + 8]
    if length == 1:
        return name, 16, int.from_bytes(content[offset + 8 : offset + 16], "big")
    return name, 8, length


def _children(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    while offset + 8 <= len(content):
        name, start, stop = _header(content, offset)
        if stop and stop < start:
            return
        end = offset + stop if stop else len(content)
        yield name, content[offset + start : end]
        offset = end


def _find(content: bytes, *path: bytes) -> bytes:
    """The content of the first box at a path, empty if there is none."""
    for name in path:
        content = next((value for child, value in _children(content) if child == name), b"")
    return content


def _track(trak: bytes) -> _Track | None:
    kind = _HANDLERS.get(_find(trak, b"mdia", b"hdlr")[8:12])
    header, display = _find(trak, b"mdia", b"mdhd"), _find(trak, b"tkhd")
    if kind is None or len(header) < 24 or len(display) < 84:
        return None
    is_long = header[0] == 1
    timescale = int.from_bytes(header[20:24] if is_long else header[12:16], "big")
    length = int.from_bytes(header[24:32] if is_long else header[16:20], "big")
    number = int.from_bytes(display[20:24] if display[0] == 1 else display[12:16], "big")
    is_unknown = length in (0xFFFFFFFF, (1 << 64) - 1)
    width, height = (
        int.from_bytes(display[first : first + 2], "big") for first in (len(display) - 8, len(display) - 4)
    )
    if _is_turned(display[len(display) - 44 : len(display) - 8]):
        width, height = height, width
    return _Track(number, kind, timescale, 0.0 if is_unknown or not timescale else length / timescale, width, height)


def _is_turned(matrix: bytes) -> bool:
    """Whether the matrix of a track turns it by 90 degrees."""
    return not any(matrix[0:4]) and any(matrix[4:8])


def _end_of_fragments(file: BinaryIO, tracks: list[_Track]) -> float | None:
    """The end of the last fragment in seconds; None if it is not found.

    It is searched at the end of the file. If it is so large that it starts before that, there are few: all are visited.
    """
    timescales = {track.number: track.timescale for track in tracks if track.timescale}
    end = _end_in_tail(read_tail(file, _TAIL)[1], timescales)
    if end is not None:
        return end
    fragments = [(start, stop) for name, start, stop in _boxes(file, file_size(file)) if name == b"moof"]
    for start, stop in reversed(fragments):
        if (end := _end_of_moof(read_at(file, start, min(stop - start, _MAX_MOOV)), timescales)) is not None:
            return end
    return None


def _end_in_tail(tail: bytes, timescales: dict[int, int]) -> float | None:
    """The end of the last fragment that starts in the end of a file."""
    offset = tail.rfind(b"moof")
    while offset >= 4:
        moof = tail[offset + 4 : offset - 4 + int.from_bytes(tail[offset - 4 : offset], "big")]
        if (end := _end_of_moof(moof, timescales)) is not None:
            return end
        offset = tail.rfind(b"moof", 0, offset)
    return None


def _end_of_moof(moof: bytes, timescales: dict[int, int]) -> float | None:
    ends = [_end_of_fragment(traf, timescales) for name, traf in _children(moof) if name == b"traf"]
    return max((end for end in ends if end), default=None)


def _end_of_fragment(traf: bytes, timescales: dict[int, int]) -> float | None:
    header, decode_time = _find(traf, b"tfhd"), _find(traf, b"tfdt")
    timescale = timescales.get(int.from_bytes(header[4:8], "big"))
    if timescale is None or not decode_time:
        return None
    start = int.from_bytes(decode_time[4:12] if decode_time[0] == 1 else decode_time[4:8], "big")
    default = _default_duration(header)
    return (start + sum(_run_duration(run, default) for name, run in _children(traf) if name == b"trun")) / timescale


def _default_duration(tfhd: bytes) -> int:
    flags = int.from_bytes(tfhd[1:4], "big")
    if not flags & 0x8:
        return 0
    offset = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    return int.from_bytes(tfhd[offset : offset + 4], "big")


def _run_duration(trun: bytes, default: int) -> int:
    """The duration of a run of samples, in units of the track."""
    flags, count = int.from_bytes(trun[1:4], "big"), int.from_bytes(trun[4:8], "big")
    if not flags & 0x100:
        return count * default
    width = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    first = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    return sum(
        int.from_bytes(trun[at : at + 4], "big") for at in range(first, min(first + count * width, len(trun)), width)
    )
