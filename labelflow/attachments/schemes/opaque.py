"""Attachments that only Scale can read: `gs://`, through its service account, and its own files at `scaledata://`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import Executor

from labelflow.attachments.attachment import AttachmentRejected, CheckLevel, ProbeRequest, ProbeResult

_COMPLETE = re.compile(r"\w+://[^/\s]+/\S.*", re.DOTALL)


class OpaqueScheme:
    """Checks the form of a URI. Nothing is requested: this machine has no access."""

    names = ("gs", "scaledata")

    def __init__(self, threads: Executor, connections: int, timeout: float, *, allow_private: bool) -> None:
        """Need nothing."""

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def check_form(self, uri: str) -> None:
        if not _COMPLETE.fullmatch(uri):
            scheme = uri.partition("://")[0].lower()
            form = "gs://bucket/object" if scheme == "gs" else "the attachment_url of an uploaded file"
            raise AttachmentRejected(f"is not a complete {scheme}:// URI", f"use {form}")

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        return False

    def probe(self, probe_requests: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        return [ProbeResult(size=None, content_type=None)] * len(probe_requests)


SCHEME = OpaqueScheme
