"""Determine the kind, the pixels and the duration of a file from its first bytes."""

from __future__ import annotations

from typing import BinaryIO, cast

from labelflow.attachments.attachment import MEASURED_TYPES, ProbeResult
from labelflow.media import Media, probe_file
from labelflow.media.probe import HEAD_BYTES
from labelflow.storage.ranged_file import RangedFile, ReadBudgetExceeded

_UNKNOWN_SIZE = 1 << 40


def probe_media(file: RangedFile, content_type: str | None, attachment_type: str) -> ProbeResult:
    """Probe a file. Pixels or duration are measured only for images and audio, within the budget of the file.

    Raises the error of a failed read, such as OSError, but not ReadBudgetExceeded.
    """
    head = file.read(HEAD_BYTES)
    if attachment_type not in MEASURED_TYPES or not head:
        return ProbeResult(file.size, content_type, head)
    return ProbeResult(file.size, content_type, head, _measure(file, content_type))


def probe_media_prefix(head: bytes, content_type: str | None, attachment_type: str) -> ProbeResult:
    """Probe a file of unknown size by its first bytes. The duration of audio cannot be estimated without the size."""
    file = RangedFile(_no_more_bytes, _UNKNOWN_SIZE, budget=0, prefix=head)
    media = _measure(file, content_type) if attachment_type == "image" else None
    return ProbeResult(None, content_type, head[:HEAD_BYTES], media)


def _measure(file: RangedFile, content_type: str | None) -> Media | None:
    """Measure a file; None if that exceeds its budget. Raises the error of any other failed read."""
    try:
        media = probe_file(cast(BinaryIO, file), content_type)
    except Exception:  # a parser may raise anything for arbitrary bytes
        media = Media("unknown")
    if media.width is not None or media.duration is not None or file.failure is None:
        return media
    if isinstance(file.failure, ReadBudgetExceeded):
        return None
    raise file.failure


def _no_more_bytes(start: int, stop: int) -> bytes:
    raise ReadBudgetExceeded(f"bytes {start} to {stop} cannot be read: the size of the file is unknown")
