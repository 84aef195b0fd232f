"""Check the attachments of a chunk of rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from labelflow.attachments.attachment import (
    Attachment,
    AttachmentRejected,
    CheckLevel,
    Inspection,
    MediaInfo,
    ProbeRequest,
    ProbeResult,
)
from labelflow.attachments.limits import is_unmeasured, validate
from labelflow.attachments.schemes import Scheme, open_schemes
from labelflow.attachments.url_expiry import signed_until
from labelflow.problems import Problem, abbreviate

CLOCK_MARGIN = timedelta(minutes=15)  # by which the clock of this machine may be ahead
_Key = tuple[str, str]  # URI and attachment type; equal keys are probed once per chunk


class AttachmentChecker:
    """Checks attachments before their tasks are created. Thread-safe.

    level: how thoroughly.
    threads: maximum number of concurrent requests.
    timeout: seconds for one attachment in total, including retries.
    allow_private: whether URLs may lead to addresses that Scale cannot reach, such as 127.0.0.1.
    accept_unmeasured: whether audio is accepted if its length could not be measured.
    unmeasured: the number of recordings that were accepted for this reason.

    Example:
        with AttachmentChecker(CheckLevel.AUTO) as checker:
            [inspection] = checker.inspect([Attachment("attachment", "https://host/a.jpg", "image")])
    """

    def __init__(
        self,
        level: CheckLevel,
        threads: int = 16,
        timeout: float = 20.0,
        *,
        allow_private: bool = False,
        accept_unmeasured: bool = True,
    ) -> None:
        self._level = level
        self._accept_unmeasured = accept_unmeasured
        self.unmeasured = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="attachments")
        self._schemes = open_schemes(self._threads, threads, timeout, allow_private=allow_private)

    def __enter__(self) -> AttachmentChecker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for scheme in set(self._schemes.values()):
            scheme.close()

    def inspect(self, attachments: Sequence[Attachment]) -> list[Inspection]:
        """Return the problem of each attachment, and what is known of its file, in the same order.

        Raises StoreUnavailable if a store cannot be used at all, so that no row is at fault.
        """
        results: dict[_Key, ProbeResult | AttachmentRejected | None] = {}
        to_probe: dict[Scheme, list[_Key]] = {}
        for key in dict.fromkeys((a.uri, a.attachment_type) for a in attachments):
            try:
                scheme = self._scheme(*key)
                if scheme is not None:
                    to_probe.setdefault(scheme, []).append(key)
            except AttachmentRejected as rejection:
                results[key] = rejection
        for scheme, keys in to_probe.items():
            results |= self._probe(scheme, keys)
        return [_inspection(a.field, results.get((a.uri, a.attachment_type))) for a in attachments]

    def _scheme(self, uri: str, attachment_type: str) -> Scheme | None:
        """The scheme that probes a URI; None if no probe is needed. Raises AttachmentRejected for invalid syntax."""
        if attachment_type == "text":
            if not uri.strip():
                raise AttachmentRejected("is empty", "provide a text, or remove the row")
            return None
        if uri[:1].isspace():
            raise AttachmentRejected("starts with a space", "remove the space")
        name, separator, _ = uri.partition("?")[0].partition("://")
        scheme = self._schemes.get(name.lower())
        if not separator or scheme is None:
            known = " or ".join(f"{name}://" for name in sorted(self._schemes))
            given = abbreviate(name.rpartition("@")[2])  # without a user name and a password
            reason = f"has the unknown scheme {given}" if separator else f"is not a valid URL: {given}"
            raise AttachmentRejected(reason, f"use a URL that starts with {known}")
        scheme.check_form(uri)
        _check_signature(uri)
        return None if self._level is CheckLevel.OFF else scheme

    def _probe(self, scheme: Scheme, keys: list[_Key]) -> dict[_Key, ProbeResult | AttachmentRejected]:
        probe_requests = [ProbeRequest(uri, kind, scheme.wants_content(self._level, kind)) for uri, kind in keys]
        results = zip(keys, scheme.probe(probe_requests), strict=True)
        return {key: self._validate(key, result) for key, result in results}

    def _validate(self, key: _Key, result: ProbeResult | AttachmentRejected) -> ProbeResult | AttachmentRejected:
        if isinstance(result, AttachmentRejected):
            return result
        _, attachment_type = key
        rejection = validate(attachment_type, result, accept_unmeasured=self._accept_unmeasured)
        if rejection is None and is_unmeasured(attachment_type, result):
            with self._lock:
                self.unmeasured += 1
        return rejection or result


def _check_signature(uri: str) -> None:
    """Raises AttachmentRejected if the signature of a URL has expired, with a margin for a wrong clock."""
    end = signed_until(uri)
    if end is not None and end < datetime.now(UTC) - CLOCK_MARGIN:
        raise AttachmentRejected(f"is a signed URL that expired at {end:%Y-%m-%d %H:%M} UTC", "sign it again")


def _inspection(field: str, result: ProbeResult | AttachmentRejected | None) -> Inspection:
    if isinstance(result, AttachmentRejected):
        return Inspection(Problem(field, result.reason, result.fix), None)
    return Inspection(None, MediaInfo.of(result) if result else None)
