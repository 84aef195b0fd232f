"""Which fault, if any, something meets."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from itertools import accumulate

from labelflow.sandbox.settings.fault_kinds import FaultTarget
from labelflow.sandbox.settings.fault_spec import FaultSetting, FaultSpec


class FaultSampler:
    """The faults for one target: each comes at its rate, at most one at a time."""

    def __init__(self, spec: FaultSpec, target: FaultTarget) -> None:
        self._settings = spec.for_target(target)
        self._bounds = list(accumulate(setting.rate for setting in self._settings))
        self._seed = f"{spec.seed}/{target}"
        self._random = random.Random(self._seed)

    def sample(self) -> FaultSetting | None:
        """The fate of the next one to come."""
        return self._pick(self._random.random())

    def sample_for(self, content: bytes) -> FaultSetting | None:
        """The fate of one with that content: the same whenever it is asked for."""
        digest = hashlib.sha256(self._seed.encode() + b"\0" + content).digest()
        return self._pick(int.from_bytes(digest[:6], "big") / 2**48)

    def _pick(self, point: float) -> FaultSetting | None:
        index = bisect_right(self._bounds, point)
        return self._settings[index] if index < len(self._settings) else None
