"""Which fault, if any, something meets."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from itertools import accumulate

from labelflow.sandbox.settings.fault_kinds import Target
from labelflow.sandbox.settings.fault_spec import Setting, Spec


class Fates:
    """The faults for one target: each comes at its rate, at most one at a time."""

    def __init__(self, spec: Spec, target: Target) -> None:
        self._settings = spec.of(target)
        self._bounds = list(accumulate(setting.rate for setting in self._settings))
        self._name = f"{spec.seed}/{target}"
        self._random = random.Random(self._name)

    def next(self) -> Setting | None:
        """The fate of the next one to come."""
        return self._at(self._random.random())

    def of(self, content: bytes) -> Setting | None:
        """The fate of one with that content: the same whenever it is asked for."""
        digest = hashlib.sha256(self._name.encode() + b"\0" + content).digest()
        return self._at(int.from_bytes(digest[:6], "big") / 2**48)

    def _at(self, point: float) -> Setting | None:
        index = bisect_right(self._bounds, point)
        return self._settings[index] if index < len(self._settings) else None
