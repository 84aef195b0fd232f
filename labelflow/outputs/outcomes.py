"""The outcome index: the outcome of each finished task, read from the files of labels/ and errors/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.records import Outcome
from labelflow.storage.folder import FileInfo, Folder
from labelflow.tables.key_index import MISSING, HashedKeys, Int64Array, KeyIndex, Keys
from labelflow.tables.part_files import read_batches, retry_listing, strings

_CODES = (Outcome.PENDING, Outcome.LABELED, Outcome.ERROR, Outcome.CANCELED)
_PENDING, _LABELED = 0, 1


class OutcomeIndex:
    """The finished tasks of an output folder: for each its outcome, the file of its answer and the answer's version.

    It is read from the files of labels/ and errors/, and takes about 37 bytes per task. For versions, see
    `labelflow.outputs.answer.Answer`.

    Example:
        outcomes = OutcomeIndex(folder)
        outcomes.get("5f127f6f26831d0010e985e5")  # Outcome.LABELED
        outcomes.pending(["a", "b"])  # array([False, True])
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: set[FileInfo] = set()  # files that were read
        self._written: set[str] = set()  # names of files that this process wrote and has not read since
        self._index = KeyIndex()  # task_id → slot in the arrays
        self._codes = np.zeros(0, np.int8)
        self._versions = np.zeros(0, np.int64)
        self._files = np.zeros(0, np.int32)
        self._names: list[str] = []  # file number → name
        self.changes = 0  # incremented with each change of the index
        self._numbers: dict[str, int] = {}  # name → file number
        self.refresh()

    def __len__(self) -> int:
        return int(np.count_nonzero(self._codes))

    @property
    def labeled(self) -> int:
        """Number of tasks with a label."""
        return int(np.count_nonzero(self._codes == _LABELED))

    def get(self, task_id: str) -> Outcome:
        """Return the outcome of a task; PENDING for an unknown one."""
        return _CODES[self._codes_of([task_id])[0]]

    def pending(self, task_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each task whether it is unfinished: a boolean array of the same length."""
        return np.equal(self._codes_of(task_ids), _PENDING)

    def tally(self, task_ids: Sequence[str]) -> Counter[Outcome]:
        """Count the tasks by outcome."""
        return Counter(dict(zip(_CODES, np.bincount(self._codes_of(task_ids), minlength=4).tolist(), strict=True)))

    def versions(self, task_ids: Keys) -> Int64Array:
        """Return the version of the answer to each task: an int64 array of the same length, MISSING if unfinished."""
        slots = self._index.find(task_ids)
        is_finished = slots != MISSING
        is_finished[is_finished] = self._codes[slots[is_finished]] != _PENDING
        versions = np.full(len(slots), MISSING, np.int64)
        versions[is_finished] = self._versions[slots[is_finished]]
        return versions

    def files(self, task_ids: Sequence[str]) -> list[str]:
        """Return the name of the file that contains the answer to each task. All tasks must be finished."""
        return [self._names[self._files[slot]] for slot in self._index.find(task_ids)]

    def refresh(self, *, exact: bool = False) -> None:
        """Read the files that are new or were rewritten.

        exact: also remove the tasks that are in no file any more. Only for the process that writes: for others, a
        file may be missing temporarily, during compaction.
        """
        retry_listing(lambda: self._refresh(exact))

    def _refresh(self, exact: bool) -> None:
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
        """Record the answers in a file. The three sequences have equal lengths."""
        codes = np.fromiter(map(_CODES.index, outcomes), np.int8, len(outcomes))
        self._record(file, task_ids, codes, np.array(versions, np.int64))

    def mark_dirty(self, file: str) -> None:
        """Record that this process wrote a file: `refresh(exact=True)` reads it again, as others may rewrite it."""
        self._written.add(file)

    def remove(self, task_ids: Sequence[str]) -> None:
        """Record that the answers to tasks were removed: they are pending again."""
        self.changes += 1
        slots = self._index.find(task_ids)
        self._codes[slots[slots != MISSING]] = _PENDING

    def _record(self, file: str, task_ids: Sequence[str], codes: NDArray[np.int8], versions: Int64Array) -> None:
        self.changes += 1
        slots = self._get_or_add_slots(task_ids)
        self._codes[slots], self._versions[slots], self._files[slots] = codes, versions, self._file_number(file)

    def _get_or_add_slots(self, task_ids: Sequence[str]) -> Int64Array:
        """The slots of tasks in the arrays; new tasks get new slots."""
        keys = HashedKeys.of(task_ids)
        new = keys[self._index.find(keys) == MISSING]
        start = len(self._codes)
        self._index.add(new, np.arange(start, start + len(new)))  # a repeated task wastes a slot
        self._codes, self._versions, self._files = (
            np.concatenate((array, np.zeros(len(new), array.dtype)))
            for array in (self._codes, self._versions, self._files)
        )
        return self._index.find(keys)

    def _file_number(self, file: str) -> int:
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
            outcomes = [Outcome.LABELED] * len(table) if is_label else list(map(Outcome, strings(table, "status")))
            self.record(file.name, strings(table, "task_id"), outcomes, versions_of(table))

    def _remove_files(self, files: set[str]) -> None:
        numbers = [self._numbers[file] for file in files if file in self._numbers]
        if numbers:
            self.changes += 1
            self._codes[np.isin(self._files, numbers)] = _PENDING


def versions_of(table: pa.Table) -> list[int]:
    """Return the version of the answer in each row of a table; see `labelflow.outputs.answer.Answer`."""
    times = [np.nan_to_num(table[name].cast(pa.int64()).to_numpy()) for name in ("completed_at", "updated_at")]
    return cast("list[int]", np.maximum(*times).astype(np.int64).tolist())
