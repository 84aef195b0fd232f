"""URLs in texts that annotators cannot open: a text that is only a URL, and `s3://` URIs within a text."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from labelflow.records import PreparedRow

_URL = re.compile(r"\s*(?:s3|gs|https?)://\S+\s*", re.IGNORECASE)
_S3_URI = re.compile(r"s3://[a-z0-9]", re.IGNORECASE)

log = logging.getLogger(__name__)


class UrlTexts:
    """Counts the rows with such texts, and logs a warning for the first one of each kind. Thread-safe.

    only_urls: rows whose text attachment is only a URL. unsigned: rows with an `s3://` URI within a text, such as a
    picture in the instruction.
    """

    def __init__(self) -> None:
        self.only_urls = 0
        self.unsigned = 0
        self._lock = threading.Lock()

    def check(self, rows: Sequence[PreparedRow]) -> None:
        """Count the rows."""
        only_urls = [row for row in rows if _is_only_url(row)]
        unsigned = [(row, field) for row in rows if (field := _field_with_s3_uri(row))]
        with self._lock:
            is_first, is_first_unsigned = not self.only_urls, not self.unsigned
            self.only_urls += len(only_urls)
            self.unsigned += len(unsigned)
        if only_urls and is_first:
            log.warning(
                "row %d (%s): its text is only a URL, which annotators would see as text; to show what it "
                "leads to, set attachment_type to image, audio, video, pdf or website",
                only_urls[0].row.number,
                only_urls[0].row_id,
            )
        if unsigned and is_first_unsigned:
            row, field = unsigned[0]
            log.warning(
                "row %d (%s): `%s` has an s3:// URI within a text, which annotators cannot open; use a public URL, "
                "or an attachment, which labelflow signs",
                row.row.number,
                row.row_id,
                field,
            )


def _is_only_url(row: PreparedRow) -> bool:
    return any(each.attachment_type == "text" and _URL.fullmatch(each.uri) for each in row.attachments)


def _field_with_s3_uri(row: PreparedRow) -> str | None:
    """Return the parameter with a text that contains an `s3://` URI; attachments are no texts."""
    attachments = {each.uri for each in row.attachments}
    for field, text in _texts(row.params):
        if text not in attachments and _S3_URI.search(text):
            return field
    return None


def _texts(params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parameter and the value of each text, at any depth."""
    pending: list[tuple[str, Any]] = list(params.items())
    while pending:
        field, value = pending.pop()
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, dict):
            pending += [(field, item) for item in value.values()]
        elif isinstance(value, list):
            pending += [(field, item) for item in value]
