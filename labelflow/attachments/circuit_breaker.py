"""Remember the hosts that do not answer, so that a million rows do not wait for each of them anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labelflow.attachments.attachment import Refused, Seen

PATIENCE = 8  # attachments in a row, each tried to the end
PAUSE = 30.0  # seconds for which a host is then left alone


class Silent(Refused):
    """The host takes no connection, or does not answer in time."""


@dataclass(frozen=True, slots=True)
class _Silence:
    failures: int
    latest: float
    refused: Silent


class Outages:
    """Which hosts are silent at the moment. Many threads may share one.

    clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silences: dict[str, _Silence] = {}
        self._lock = threading.Lock()

    def check(self, host: str) -> None:
        """Raises Refused where the host did not answer lately, however often it was asked."""
        silence = self._silences.get(host)
        if silence and silence.failures >= PATIENCE and self._clock() < silence.latest + PAUSE:
            raise Refused(silence.refused.reason, silence.refused.fix)

    def note(self, host: str, found: Seen | Refused) -> None:
        """What came of asking the host. Whatever it answers, it is not silent."""
        with self._lock:
            before = self._silences.pop(host, None)
            if isinstance(found, Silent):
                self._silences[host] = _Silence(before.failures + 1 if before else 1, self._clock(), found)
