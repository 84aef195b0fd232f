"""Kind, size and duration of media files, judged by their content.

The attachment checks use it before tasks are created; the sandbox uses it to draw boxes inside the image.
`containers/` has one file per container; `signatures.py` identifies the format.
"""

from __future__ import annotations

from labelflow.media.media import Duration, Format, Kind, Media
from labelflow.media.probe import probe_file
from labelflow.media.signatures import identify, kind_of_content_type

__all__ = ["Duration", "Format", "Kind", "Media", "identify", "kind_of_content_type", "probe_file"]
