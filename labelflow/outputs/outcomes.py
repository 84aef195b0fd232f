"""Outcomes: how each task that has come back ended, as the files of labels/ and errors/ have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from labelflow.records import Outcome
from labelflow.storage.folder import FileInfo, Folder
from labelflow.tables.key_index import MISSING, HashedKeys, Int64Array, KeyIndex, Keys
from labelflow.tables.parts import read_batches, strings

LABELS, ERRORS = "labels/", "errors/"
_CODES = (Outcome.PENDING, Outcome.LABELED, Outcome.ERROR, Outcome.CANCELED)
_PENDING, _LABELED = 0, 1


class OutcomeIndex:
    """The tasks that have come back, as the files of a folder have them: labeled, error or canceled.

    For each, the file that holds the answer, and the answer's version; see `labelflow.outputs.answer.Answer`.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: set[FileInfo] = set()  # the files that were read
        self._written: set[str] = set()  # names of files that were written here, and not read since
        self._index = KeyIndex()  # task_id → slot in the arrays
        self._codes = np.zeros(0, np.int8)
        self._versions = np.zeros(0, np.int64)
        self._files = np.zeros(0, np.int32)
        self._names: list[str] = []  # of the files
        self.changes = 0  # how often something else became known
        self._numbers: dict[str, int] = {}  # the same, by name
        self.refresh()

    def __len__(self) -> int:
        return int(np.count_nonzero(self._codes))

    @property
    def labeled(self) -> int:
        """How many came back with a label."""
        return int(np.count_nonzero(self._codes == _LABELED))

    def get(self, task_id: str) -> Outcome:
        """Where a task stands."""
        return _CODES[self._codes_of([task_id])[0]]

    def pending(self, task_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Of each task, whether it has not come back."""
        return np.equal(self._codes_of(task_ids), _PENDING)

    def tally(self, task_ids: Sequence[str]) -> Counter[Outcome]:
        """How many of the tasks stand where."""
        return Counter(dict(zip(_CODES, np.bincount(self._codes_of(task_ids), minlength=4).tolist(), strict=True)))

    def versions(self, task_ids: Keys) -> Int64Array:
        """The version of the answer to each task, UNKNOWN where it has not come back."""
        slots = self._index.find(task_ids)
        is_back = slots != MISSING
        is_back[is_back] = self._codes[slots[is_back]] != _PENDING
        versions = np.full(len(slots), MISSING, np.int64)
        versions[is_back] = self._versions[slots[is_back]]
        return versions

    def files(self, task_ids: Sequence[str]) -> list[str]:
        """The files that hold the answers to tasks that have come back."""
        return [self._names[self._files[slot]] for slot in self._index.find(task_ids)]

    def refresh(self, *, exact: bool = False) -> None:
        """Read the files that are new or were rewritten.

        exact: forget what is in no file any more. Only for the process that writes: for others a file may be missing
        for the moment in which it is merged.
        """
        listed = [file for prefix in (LABELS, ERRORS) for file in self._folder.list(prefix)]
        files = [file for file in listed if file.name.endswith(".parquet")]
        if exact:
            self._known = {file for file in self._known if file.name not in self._written}
            self._remove_files({file.name for file in self._known.difference(files)} | self._written)
            self._written.clear()
        for file in files:
            if file not in self._known:
                self._read(file)
        self._known = set(files)

    def record(self, file: str, task_ids: Sequence[str], outcomes: Sequence[Outcome], versions: Sequence[int]) -> None:
        """Take note of answers that are in a file."""
        codes = np.fromiter(map(_CODES.index, outcomes), np.int8, len(outcomes))
        self._record(file, task_ids, codes, np.array(versions, np.int64))

    def mark_dirty(self, file: str) -> None:
        """Take note of a file that was written: it is read when the next look begins, for others may rewrite it."""
        self._written.add(file)

    def remove(self, task_ids: Sequence[str]) -> None:
        """Take note of answers that were removed."""
        self.changes += 1
        slots = self._index.find(task_ids)
        self._codes[slots[slots != MISSING]] = _PENDING

    def _record(self, file: str, task_ids: Sequence[str], codes: NDArray[np.int8], versions: Int64Array) -> None:
        self.changes += 1
        slots = self._slots(task_ids)
        self._codes[slots], self._versions[slots], self._files[slots] = codes, versions, self._number(file)

    def _slots(self, task_ids: Sequence[str]) -> Int64Array:
        """The places of tasks in the arrays; those that are new get one."""
        keys = HashedKeys.of(task_ids)
        new = keys[self._index.find(keys) == MISSING]
        start = len(self._codes)
        self._index.add(new, np.arange(start, start + len(new)))  # one that comes twice wastes a slot
        self._codes, self._versions, self._files = (
            np.concatenate((array, np.zeros(len(new), array.dtype)))
            for array in (self._codes, self._versions, self._files)
        )
        return self._index.find(keys)

    def _number(self, file: str) -> int:
        if file not in self._numbers:
            self._numbers[file] = len(self._names)
            self._names.append(file)
        return self._numbers[file]

    def _codes_of(self, task_ids: Sequence[str]) -> NDArray[np.int8]:
        slots = self._index.find(task_ids)
        codes = np.zeros(len(slots), np.int8)
        known = slots != MISSING
        codes[known] = self._codes[slots[known]]
        return codes

    def _read(self, file: FileInfo) -> None:
        is_label = file.name.startswith(LABELS)
        columns = ["task_id", "completed_at", "updated_at", *([] if is_label else ["status"])]
        for table in read_batches(self._folder, file.name, columns):
            ended = [Outcome.LABELED] * len(table) if is_label else list(map(Outcome, strings(table, "status")))
            self.record(file.name, strings(table, "task_id"), ended, versions_of(table))

    def _remove_files(self, files: set[str]) -> None:
        numbers = [self._numbers[file] for file in files if file in self._numbers]
        if numbers:
            self.changes += 1
            self._codes[np.isin(self._files, numbers)] = _PENDING


def versions_of(table: pa.Table) -> list[int]:
    """The version of the answer in each row; see `labelflow.outputs.answer.Answer`."""
    times = [np.nan_to_num(table[name].cast(pa.int64()).to_numpy()) for name in ("completed_at", "updated_at")]
    return cast("list[int]", np.maximum(*times).astype(np.int64).tolist())
