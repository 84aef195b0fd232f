"""Tell from a file's first bytes what it is, how many pixels it has, how long it plays."""

from __future__ import annotations

from typing import BinaryIO, cast

from labelflow.attachments.attachment import MEASURED_TYPES, ProbeResult
from labelflow.media import Media, probe_file
from labelflow.storage.ranged_file import RangedFile, ReadBudgetExceeded

_UNKNOWN_SIZE = 1 << 40
_CONTENT_TYPE_PREFIXES = 512  # bytes that give the kind away, a page's leading white space among them


def probe_media(file: RangedFile, content_type: str | None, attachment_type: str) -> ProbeResult:
    """What the file is. Raises what kept it from being read, except where that was the budget."""
    head = file.read(_CONTENT_TYPE_PREFIXES)
    if attachment_type not in MEASURED_TYPES or not head:
        return ProbeResult(file.size, content_type, head)
    return ProbeResult(file.size, content_type, head, _measure(file, content_type))


def probe_media_prefix(head: bytes, content_type: str | None, attachment_type: str) -> ProbeResult:
    """What a file is whose size is not told: its head is all there is, and its length cannot be estimated."""
    file = RangedFile(_no_more_bytes, _UNKNOWN_SIZE, budget=0, prefix=head)
    media = _measure(file, content_type) if attachment_type == "image" else None
    return ProbeResult(None, content_type, head[:_CONTENT_TYPE_PREFIXES], media)


def _measure(file: RangedFile, content_type: str | None) -> Media | None:
    """None where that would take more than may be read. Raises what else kept the file from being read."""
    try:
        media = probe_file(cast(BinaryIO, file), content_type)
    except Exception:  # a parser that meets bytes made by anyone may raise anything
        media = Media("unknown")
    if media.width is not None or media.seconds is not None or file.failure is None:
        return media
    if isinstance(file.failure, ReadBudgetExceeded):
        return None
    raise file.failure


def _no_more_bytes(start: int, stop: int) -> bytes:
    raise ReadBudgetExceeded(f"bytes {start} to {stop} cannot be addressed")
