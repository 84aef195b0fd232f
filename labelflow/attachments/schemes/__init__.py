"""The schemes of attachment URIs: each module here is one, with a class named SCHEME."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

from labelflow.attachments.attachment import AttachmentRejected, CheckLevel, ProbeRequest, ProbeResult


class Scheme(Protocol):
    """How to look at the URIs of a scheme. Many threads may share it."""

    names: tuple[str, ...]

    def __init__(self, threads: Executor, connections: int, timeout: float) -> None: ...

    def check_form(self, uri: str) -> None:
        """Raises AttachmentRejected where the URI cannot be right. No request is made."""

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        """Whether the first bytes are read at this level."""

    def probe(self, wanted: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        """What is there, in the same order. Raises StoreUnreachable where no URI is at fault."""

    def close(self) -> None:
        """Close the connections."""


def open_schemes(threads: Executor, connections: int, timeout: float) -> dict[str, Scheme]:
    """Every scheme by each of its names. Timeout in seconds for one attachment."""
    found: dict[str, Scheme] = {}
    for module in pkgutil.iter_modules(__path__):
        kind: type[Scheme] = importlib.import_module(f"{__name__}.{module.name}").SCHEME
        scheme = kind(threads, connections, timeout)
        found |= dict.fromkeys(scheme.names, scheme)
    return found
