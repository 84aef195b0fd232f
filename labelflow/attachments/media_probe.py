"""Tell from a file's first bytes what it is, how many pixels it has, how long it plays."""

from __future__ import annotations

from typing import BinaryIO, cast

from labelflow.attachments.attachment import MEASURED, Seen
from labelflow.media import Media, measure
from labelflow.storage.ranged_file import RangedFile, TooMuchRead

_UNKNOWN_SIZE = 1 << 40
_TELLING = 512  # bytes that give the kind away, a page's leading white space among them


def seen_in(file: RangedFile, content_type: str | None, attachment_type: str) -> Seen:
    """What the file is. Raises what kept it from being read, except where that was the budget."""
    head = file.read(_TELLING)
    if attachment_type not in MEASURED or not head:
        return Seen(file.size, content_type, head)
    return Seen(file.size, content_type, head, _measured(file, content_type))


def seen_in_head(head: bytes, content_type: str | None, attachment_type: str) -> Seen:
    """What a file is whose size is not told: its head is all there is, and its length cannot be estimated."""
    file = RangedFile(_nothing, _UNKNOWN_SIZE, budget=0, head=head)
    media = _measured(file, content_type) if attachment_type == "image" else None
    return Seen(None, content_type, head[:_TELLING], media)


def _measured(file: RangedFile, content_type: str | None) -> Media | None:
    """None where that would take more than may be read. Raises what else kept the file from being read."""
    try:
        media = measure(cast(BinaryIO, file), content_type)
    except Exception:  # a parser that meets bytes made by anyone may raise anything
        media = Media("unknown")
    if media.width is not None or media.seconds is not None or file.failure is None:
        return media
    if isinstance(file.failure, TooMuchRead):
        return None
    raise file.failure


def _nothing(start: int, stop: int) -> bytes:
    raise TooMuchRead(f"bytes {start} to {stop} cannot be addressed")
