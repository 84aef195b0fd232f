"""Outcomes: how each task that has come back ended, as the files of labels/ and errors/ have it."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from labeling.stages import Outcome
from labeling.storage import FileInfo, Folder
from labeling.tables import read_part, texts

LABELS, ERRORS = "labels/", "errors/"


class Outcomes(dict[str, Outcome]):
    """The tasks that have come back, by id, as the files of a folder have them: labeled, error or canceled."""

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self._folder = folder
        self._known: set[FileInfo] = set()  # the files that were read
        self._written: set[str] = set()  # names of files that were written here, and not read since
        self._places: dict[str, tuple[str, int]] = {}  # task_id → file, and version of the answer in it
        self.refresh()

    def refresh(self, *, exact: bool = False) -> None:
        """Read the files that are new or were rewritten.

        exact: forget what is in no file any more. Only for the process that writes: for others a file may be missing
        for the moment in which it is merged.
        """
        listed = [file for prefix in (LABELS, ERRORS) for file in self._folder.list(prefix)]
        files = [file for file in listed if file.name.endswith(".parquet")]
        if exact:
            self._known = {file for file in self._known if file.name not in self._written}
            self._forget({file.name for file in self._known.difference(files)} | self._written)
            self._written.clear()
        for file in files:
            if file not in self._known:
                self._read(file)
        self._known = set(files)

    def note(self, task_id: str, outcome: Outcome, file: str, version: int) -> None:
        """Take note of an answer that is in a file."""
        self[task_id] = outcome
        self._places[task_id] = (file, version)

    def wrote(self, file: str) -> None:
        """Take note of a file that was written: it is read when the next look begins, for others may rewrite it."""
        self._written.add(file)

    def forget(self, task_id: str) -> None:
        """Take note of an answer that was removed."""
        self.pop(task_id, None)
        self._places.pop(task_id, None)

    def of(self, task_id: str) -> Outcome:
        """Where a task stands."""
        return self.get(task_id, Outcome.PENDING)

    def file_of(self, task_id: str) -> str:
        """The file that holds the answer of a task that has come back."""
        return self._places[task_id][0]

    def version_of(self, task_id: str) -> int:
        """The version of the answer of a task that has come back; see `labeling.answers.Answer`."""
        return self._places[task_id][1]

    @property
    def last_completed(self) -> datetime | None:
        """About when the last of all answers came (UTC), None where no answer says."""
        newest = max((version for _, version in self._places.values()), default=0)
        return datetime.fromtimestamp(newest / 1000, UTC) if newest else None

    @property
    def labeled(self) -> int:
        """How many came back with a label."""
        return sum(outcome is Outcome.LABELED for outcome in self.values())

    def _read(self, file: FileInfo) -> None:
        is_label = file.name.startswith(LABELS)
        columns = ["task_id", "completed_at", "updated_at", *([] if is_label else ["status"])]
        table = read_part(self._folder, file.name, columns)
        task_ids = texts(table, "task_id")
        ended = [Outcome.LABELED] * len(task_ids) if is_label else map(Outcome, texts(table, "status"))
        for task_id, outcome, version in zip(task_ids, ended, versions_of(table), strict=True):
            self.note(task_id, outcome, file.name, version)

    def _forget(self, files: set[str]) -> None:
        if files:
            for task_id in [task_id for task_id, (file, _) in self._places.items() if file in files]:
                self.forget(task_id)


def versions_of(table: pa.Table) -> list[int]:
    """The version of the answer in each row; see `labeling.answers.Answer`."""
    completed, updated = (table[name].cast(pa.int64()).to_pylist() for name in ("completed_at", "updated_at"))
    return [max(one or 0, other or 0) for one, other in zip(completed, updated, strict=True)]
