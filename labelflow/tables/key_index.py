"""Which texts were seen, and a number for each: for millions of them, in little memory.

A dictionary takes some 150 bytes for a key; this takes 24, whatever its length, for it keeps two hashes of 64 bits in
place of the text. Of a billion texts two share both with a chance of one in 10^20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Int64Array: TypeAlias = NDArray[np.int64]
MISSING = -1
MAX_RUN_KEYS = 1 << 17  # keys: a longer one takes too much memory to merge


@dataclass(frozen=True, slots=True)
class HashedKeys:
    """Keys as an index knows them: for those that are looked for more than once."""

    first: Int64Array
    second: Int64Array

    @classmethod
    def of(cls, keys: Sequence[str]) -> HashedKeys:
        """Python's own hashes, keyed at random in each process: nobody can choose texts that share them."""
        count = len(keys)
        second = (hash(key + "\0") for key in keys)
        return cls(np.fromiter(map(hash, keys), np.int64, count), np.fromiter(second, np.int64, count))

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, places: Any) -> HashedKeys:
        return HashedKeys(self.first[places], self.second[places])


Keys: TypeAlias = Sequence[str] | HashedKeys


@dataclass(frozen=True, slots=True)
class _SortedRun:
    """Keys in the order of their first hash, no key twice."""

    first: Int64Array
    second: Int64Array
    numbers: Int64Array

    @classmethod
    def of(cls, first: Int64Array, second: Int64Array, numbers: Int64Array) -> _SortedRun:
        """Of a key that comes twice the later one counts."""
        order = np.argsort(first, kind="stable")
        first, second, numbers = first[order], second[order], numbers[order]
        counts = np.ones(len(first), np.bool_)
        counts[:-1] = (first[:-1] != first[1:]) | (second[:-1] != second[1:])
        return cls(first[counts], second[counts], numbers[counts])

    def merged(self, later: _SortedRun) -> _SortedRun:
        """Both in one."""
        return _SortedRun.of(
            np.concatenate((self.first, later.first)),
            np.concatenate((self.second, later.second)),
            np.concatenate((self.numbers, later.numbers)),
        )

    def find(self, first: Int64Array, second: Int64Array, found: Int64Array) -> None:
        """Fill in the numbers of those keys that nothing was found for yet."""
        places = np.searchsorted(self.first, first)
        places[places == len(self.first)] = 0
        known = (self.first[places] == first) & (self.second[places] == second) & (found == MISSING)
        found[known] = self.numbers[places[known]]


class StringList:
    """A list of texts, a few bytes longer than they are."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array[Any]] = []

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def add(self, texts: Sequence[str]) -> None:
        """Append texts."""
        if len(texts):
            self._chunks.append(pa.array(texts, pa.string()))

    def keep(self, which: Callable[[list[str]], NDArray[np.bool_]]) -> None:
        """Drop all but those that `which` says of."""
        self._chunks = [chunk.filter(pa.array(which(cast("list[str]", chunk.to_pylist())))) for chunk in self._chunks]


class KeyIndex:
    """Finds the numbers of keys, many at once; of several numbers given to a key the last one counts.

    Short runs are merged as they come, so that there are few. One thread may add while others look.
    """

    def __init__(self) -> None:
        self._runs: tuple[_SortedRun, ...] = ()
        self._keys = 0

    def __len__(self) -> int:
        return self._keys

    def find(self, keys: Keys) -> Int64Array:
        """The number of each key, UNKNOWN where it has none."""
        hashed = _hashed(keys)
        order = np.argsort(hashed.first)  # neighbours are found sooner
        found = np.empty(len(hashed), np.int64)
        found[order] = self._find(hashed[order])
        return found

    def get(self, key: str) -> int:
        """The number of one key."""
        return int(self.find([key])[0])

    def add(self, keys: Keys, numbers: Int64Array) -> None:
        """Give numbers, none of them negative, to keys."""
        if len(keys) == 0:
            return
        hashed = _hashed(keys)
        run = _SortedRun.of(hashed.first, hashed.second, numbers)
        self._keys += int((self._find(HashedKeys(run.first, run.second)) == MISSING).sum())
        runs = list(self._runs)
        while runs and len(runs[-1].first) < min(2 * len(run.first), MAX_RUN_KEYS):
            run = runs.pop().merged(run)
        self._runs = (*runs, run)

    def _find(self, keys: HashedKeys) -> Int64Array:
        found = np.full(len(keys), MISSING, np.int64)
        for run in reversed(self._runs):
            run.find(keys.first, keys.second, found)
        return found


def _hashed(keys: Keys) -> HashedKeys:
    return keys if isinstance(keys, HashedKeys) else HashedKeys.of(keys)
