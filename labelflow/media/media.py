"""What is known of a media file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "audio", "video", "website", "pdf", "text", "other", "unknown"]  # other: known, none of these
MAX_RELATIVE_ERROR = 0.02  # of a duration that counts as measured


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration in seconds. error: it is exact to within so many seconds; 0 if it was counted, not estimated."""

    seconds: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class Format:
    """A file format. description: with its article, for messages, such as "a WebP image"."""

    name: str
    kind: Kind
    content_type: str
    description: str


@dataclass(frozen=True, slots=True)
class Media:
    """What a file contains, judged by its bytes.

    kind: by the content, else by the declared type. format: None if no known one matches.
    width, height: pixels as people see them, after the rotation that EXIF asks for. duration: of audio and video.
    is_cut_off: the end of the file is missing. None: not measured, or it cannot be measured.
    """

    kind: Kind
    format: Format | None = None
    width: int | None = None
    height: int | None = None
    duration: Duration | None = None
    is_cut_off: bool = False

    @property
    def seconds(self) -> float | None:
        """The duration in seconds if it is known to within 2 %."""
        duration = self.duration
        if duration is None or duration.error > MAX_RELATIVE_ERROR * duration.seconds:
            return None
        return duration.seconds
