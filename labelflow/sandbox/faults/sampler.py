"""Random selection of faults."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from itertools import accumulate

from labelflow.sandbox.settings.fault_kinds import FaultTarget
from labelflow.sandbox.settings.fault_spec import FaultSetting, FaultSpec


class FaultSampler:
    """Selects faults of one target, each at its rate. The same seed gives the same faults."""

    def __init__(self, spec: FaultSpec, target: FaultTarget) -> None:
        self._settings = spec.for_target(target)
        self._bounds = list(accumulate(setting.rate for setting in self._settings))
        self._seed = f"{spec.seed}/{target}"
        self._random = random.Random(self._seed)

    def sample(self) -> FaultSetting | None:
        """Return the fault of the next request or callback, None for no fault."""
        return self._pick(self._random.random())

    def sample_for(self, content: bytes) -> FaultSetting | None:
        """Return the fault of a task, None for no fault; always the same for one content."""
        digest = hashlib.sha256(self._seed.encode() + b"\0" + content).digest()
        return self._pick(int.from_bytes(digest[:6], "big") / 2**48)

    def _pick(self, point: float) -> FaultSetting | None:
        index = bisect_right(self._bounds, point)
        return self._settings[index] if index < len(self._settings) else None
