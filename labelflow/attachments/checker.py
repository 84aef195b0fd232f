"""Look at the attachments of a chunk of rows, and say what is wrong with each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from labelflow.attachments.attachment import Attachment, AttachmentRejected, CheckLevel, ProbeRequest
from labelflow.attachments.limits import validate
from labelflow.attachments.schemes import Scheme, open_schemes
from labelflow.problems import Problem, abbreviate

_Key = tuple[str, str]  # a URI and its attachment type: what is the same is looked at once


class AttachmentChecker:
    """Looks at attachments before money is spent. Several threads may share one.

    level: how closely.
    threads: requests under way at once.
    timeout: seconds for one attachment in all, retries among them.
    """

    def __init__(self, level: CheckLevel, threads: int = 16, timeout: float = 20.0) -> None:
        self._level = level
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="attachments")
        self._schemes = open_schemes(self._threads, threads, timeout)

    def __enter__(self) -> AttachmentChecker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for scheme in set(self._schemes.values()):
            scheme.close()

    def check(self, attachments: Sequence[Attachment]) -> list[Problem | None]:
        """What is wrong with each, None where nothing is; in the same order.

        Raises StoreUnreachable where a store does not answer at all, so that no row is at fault.
        """
        verdicts: dict[_Key, AttachmentRejected | None] = {}
        to_look_at: dict[Scheme, list[_Key]] = {}
        for key in dict.fromkeys((a.uri, a.attachment_type) for a in attachments):
            try:
                scheme = self._scheme(*key)
                if scheme is not None:
                    to_look_at.setdefault(scheme, []).append(key)
            except AttachmentRejected as refused:
                verdicts[key] = refused
        for scheme, keys in to_look_at.items():
            verdicts |= self._probe(scheme, keys)
        return [_problem(a.field, verdicts.get((a.uri, a.attachment_type))) for a in attachments]

    def _scheme(self, uri: str, attachment_type: str) -> Scheme | None:
        """Whom to ask about a URI; None where there is nothing to ask. Raises AttachmentRejected."""
        if attachment_type == "text":
            if not uri.strip():
                raise AttachmentRejected("is empty", "give it a text, or remove the row")
            return None
        name, separator, _ = uri.partition("?")[0].partition("://")
        scheme = self._schemes.get(name.lower())
        if not separator or scheme is None:
            known = ", ".join(f"{name}://" for name in sorted(self._schemes))
            found = f"has the scheme {abbreviate(name)}" if separator else f"was {abbreviate(name)}, which is no URL"
            raise AttachmentRejected(found, f"use one of {known}")
        scheme.check_form(uri)
        return None if self._level is CheckLevel.OFF else scheme

    def _probe(self, scheme: Scheme, keys: list[_Key]) -> dict[_Key, AttachmentRejected | None]:
        wanted = [ProbeRequest(uri, kind, scheme.wants_content(self._level, kind)) for uri, kind in keys]
        seen = scheme.probe(wanted)
        return {
            key: found if isinstance(found, AttachmentRejected) else validate(key[1], found)
            for key, found in zip(keys, seen, strict=True)
        }


def _problem(field: str, refused: AttachmentRejected | None) -> Problem | None:
    return Problem(field, refused.reason, refused.fix) if refused else None
