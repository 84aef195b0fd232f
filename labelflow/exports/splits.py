"""Splits: which row belongs to which part of a training set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from labelflow.errors import InvalidInput

ALL = "all"  # the name of the only part without a split
_SCALE = 2**64


@dataclass(frozen=True, slots=True)
class Split:
    """Named parts with their shares. A row is assigned by a hash of its key: rows that are added move no other row.

    >>> Split.parse("train=80,val=20").part_of("000017")
    'train'
    """

    names: tuple[str, ...] = (ALL,)
    bounds: tuple[float, ...] = (1.0,)  # upper ends of the parts, in [0, 1]

    @classmethod
    def parse(cls, text: str | None) -> Split:
        """Parse `train=80,val=10,test=10`: names and percentages that add up to 100. Raises InvalidInput."""
        if not text:
            return cls()
        fix = "write names and percentages that add up to 100, like train=80,val=10,test=10"
        names, shares = [], []
        for part in text.split(","):
            name, _, share = part.strip().partition("=")
            try:
                shares.append(float(share))
            except ValueError:
                raise InvalidInput("--split", f"got {part.strip()!r}", fix) from None
            names.append(name)
        if not all(name.isidentifier() for name in names) or len(set(names)) < len(names) or min(shares) < 0:
            raise InvalidInput("--split", f"got {text!r}", fix)
        if abs(sum(shares) - 100) > 1e-6:
            raise InvalidInput("--split", f"the percentages add up to {sum(shares):g}", fix)
        return cls(tuple(names), tuple(total / 100 for total in accumulate(shares)))

    def part_of(self, key: str) -> str:
        """Return the name of the part that a key belongs to."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        position = int.from_bytes(digest[:8], "big") / _SCALE
        for name, bound in zip(self.names, self.bounds, strict=True):
            if position < bound:
                return name
        return self.names[-1]

    def parts_of(self, keys: Iterable[str]) -> list[str]:
        """Return the name of the part of each key."""
        if len(self.names) == 1:
            return [self.names[0] for _ in keys]
        return [self.part_of(key) for key in keys]
