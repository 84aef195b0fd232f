"""A memory-efficient map from string keys to integers, for millions of keys.

A dictionary takes about 150 bytes per key; this index takes 24, whatever the length of the key: it stores two 64-bit
hashes instead of the string. The probability that any two of a billion keys share both hashes is about 10^-21.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Int64Array: TypeAlias = NDArray[np.int64]
MISSING = -1  # the number of a key that is not in the index
MAX_RUN_KEYS = 1 << 17  # longer runs are not merged: that takes too much memory


@dataclass(frozen=True, slots=True)
class HashedKeys:
    """The hashes of keys, two int64 arrays of equal length. Reuse them if the same keys are looked up repeatedly."""

    first: Int64Array
    second: Int64Array

    @classmethod
    def of(cls, keys: Sequence[str]) -> HashedKeys:
        """Hash keys with Python's own hash, whose random seed per process prevents chosen collisions."""
        count = len(keys)
        second = (hash(key + "\0") for key in keys)
        return cls(np.fromiter(map(hash, keys), np.int64, count), np.fromiter(second, np.int64, count))

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, selection: Any) -> HashedKeys:
        return HashedKeys(self.first[selection], self.second[selection])


Keys: TypeAlias = Sequence[str] | HashedKeys


@dataclass(frozen=True, slots=True)
class _SortedRun:
    """Unique keys sorted by their first hash, with their numbers: a run of a log-structured merge tree."""

    first: Int64Array
    second: Int64Array
    numbers: Int64Array

    @classmethod
    def of(cls, first: Int64Array, second: Int64Array, numbers: Int64Array) -> _SortedRun:
        """Sort keys into a run. The last number of a repeated key wins."""
        order = np.argsort(first, kind="stable")
        first, second, numbers = first[order], second[order], numbers[order]
        is_last = np.ones(len(first), np.bool_)
        is_last[:-1] = (first[:-1] != first[1:]) | (second[:-1] != second[1:])
        return cls(first[is_last], second[is_last], numbers[is_last])

    def merged_with(self, later: _SortedRun) -> _SortedRun:
        """Merge two runs into one; the later one wins."""
        return _SortedRun.of(
            np.concatenate((self.first, later.first)),
            np.concatenate((self.second, later.second)),
            np.concatenate((self.numbers, later.numbers)),
        )

    def find(self, keys: HashedKeys, numbers: Int64Array) -> None:
        """Fill in the numbers of the keys of this run where `numbers` is MISSING."""
        positions = np.searchsorted(self.first, keys.first)
        positions[positions == len(self.first)] = 0
        hits = (self.first[positions] == keys.first) & (self.second[positions] == keys.second) & (numbers == MISSING)
        numbers[hits] = self.numbers[positions[hits]]


class ArrowStrings:
    """An append-only list of strings in Arrow arrays: it takes a few bytes more than the strings themselves."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array[Any]] = []

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def add(self, strings: Sequence[str]) -> None:
        """Append strings."""
        if len(strings):
            self._chunks.append(pa.array(strings, pa.string()))

    def keep(self, select: Callable[[list[str]], NDArray[np.bool_]]) -> None:
        """Keep only the strings for which `select` returns True; it is called with several at once."""
        self._chunks = [chunk.filter(pa.array(select(cast("list[str]", chunk.to_pylist())))) for chunk in self._chunks]


class KeyIndex:
    """Maps string keys to non-negative int64 numbers, in batches. The last number added for a key wins.

    Short runs are merged as they are added, so that there are few. One thread may add while others look up.

    Example:
        index = KeyIndex()
        index.add(["a", "b"], np.array([0, 1]))
        index.find(["b", "c"])  # array([1, -1])
    """

    def __init__(self) -> None:
        self._runs: tuple[_SortedRun, ...] = ()
        self._keys = 0

    def __len__(self) -> int:
        return self._keys

    def find(self, keys: Keys) -> Int64Array:
        """Return the number of each key as an array of the same length, MISSING (-1) for unknown keys."""
        hashed = _hashed(keys)
        order = np.argsort(hashed.first)  # sorted lookups are faster: they hit the CPU caches
        numbers = np.empty(len(hashed), np.int64)
        numbers[order] = self._find(hashed[order])
        return numbers

    def get(self, key: str) -> int:
        """Return the number of one key, MISSING if it is unknown."""
        return int(self.find([key])[0])

    def add(self, keys: Keys, numbers: Int64Array) -> None:
        """Set the numbers of keys. numbers: int64 array of the same length, none negative."""
        if len(keys) == 0:
            return
        hashed = _hashed(keys)
        run = _SortedRun.of(hashed.first, hashed.second, numbers)
        self._keys += int((self._find(HashedKeys(run.first, run.second)) == MISSING).sum())
        runs = list(self._runs)
        while runs and len(runs[-1].first) < min(2 * len(run.first), MAX_RUN_KEYS):
            run = runs.pop().merged_with(run)
        self._runs = (*runs, run)

    def _find(self, keys: HashedKeys) -> Int64Array:
        numbers = np.full(len(keys), MISSING, np.int64)
        for run in reversed(self._runs):
            run.find(keys, numbers)
        return numbers


def _hashed(keys: Keys) -> HashedKeys:
    return keys if isinstance(keys, HashedKeys) else HashedKeys.of(keys)
