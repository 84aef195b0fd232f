"""The schemes of attachment URIs. Each module here implements one, and assigns its class to SCHEME."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

from labelflow.attachments.attachment import AttachmentRejected, CheckLevel, ProbeRequest, ProbeResult


class Scheme(Protocol):
    """Probes the URIs of a scheme. Thread-safe.

    names: URI schemes, in lower case. threads: run concurrent probes. connections: maximum number per host.
    timeout: seconds for one attachment in total. allow_private: whether hosts of the manifest may be private.
    """

    names: tuple[str, ...]

    def __init__(self, threads: Executor, connections: int, timeout: float, *, allow_private: bool) -> None: ...

    def check_form(self, uri: str) -> None:
        """Raise AttachmentRejected if the syntax of the URI is invalid. Sends no request."""

    def wants_content(self, level: CheckLevel, attachment_type: str) -> bool:
        """Whether this level requires reading the first bytes."""

    def probe(self, probe_requests: Sequence[ProbeRequest]) -> list[ProbeResult | AttachmentRejected]:
        """Return the result of each probe, in the same order. Raises StoreUnavailable if no URI is at fault."""

    def close(self) -> None:
        """Close the connections."""


def open_schemes(threads: Executor, connections: int, timeout: float, *, allow_private: bool) -> dict[str, Scheme]:
    """Create all schemes, by each of their names. For the parameters see `Scheme`."""
    schemes: dict[str, Scheme] = {}
    for module in pkgutil.iter_modules(__path__):
        scheme_class: type[Scheme] = importlib.import_module(f"{__name__}.{module.name}").SCHEME
        scheme = scheme_class(threads, connections, timeout, allow_private=allow_private)
        schemes |= dict.fromkeys(scheme.names, scheme)
    return schemes
