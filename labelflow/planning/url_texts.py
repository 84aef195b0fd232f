"""Texts that are only a URL: annotators would see the URL, and not what it leads to."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence

from labelflow.records import PreparedRow

_URL = re.compile(r"\s*(?:s3|gs|https?)://\S+\s*", re.IGNORECASE)

log = logging.getLogger(__name__)


class UrlTexts:
    """Counts the rows whose text attachment is only a URL, and logs a warning for the first one. Thread-safe."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()

    def check(self, rows: Sequence[PreparedRow]) -> None:
        """Count the rows."""
        for row in rows:
            if any(each.attachment_type == "text" and _URL.fullmatch(each.uri) for each in row.attachments):
                with self._lock:
                    self.number += 1
                    is_first = self.number == 1
                if is_first:
                    log.warning(
                        "row %d (%s): its text is only a URL, which annotators would see as text; to show what it "
                        "leads to, set attachment_type to image, audio, video, pdf or website",
                        row.row.number,
                        row.row_id,
                    )
