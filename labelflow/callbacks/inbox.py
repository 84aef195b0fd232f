"""The inbox of a job: callbacks that were acknowledged, and are not taken over yet.

A file stays until all of its callbacks are taken over, so a crash loses none. A callback of a task that the ledger does
not know stays, too: the run that creates the task may be about to record it.
"""

from __future__ import annotations

from collections.abc import Iterator

from labelflow.callbacks.callback import Callback
from labelflow.callbacks.spool import CALLBACKS, read_stored
from labelflow.ledger.ledger import Ledger
from labelflow.storage.folder import Folder

BATCH_SIZE = 5000  # held in memory before they are written as answers


class Inbox:
    """Shows the callbacks whose tasks the ledger knows, as it grows."""

    def __init__(self, folder: Folder, ledger: Ledger) -> None:
        self._folder = folder
        self._ledger = ledger
        self._unmatched: dict[str, list[Callback]] = {}  # by file: those that the ledger does not know
        self._new: list[str] = []

    @property
    def unmatched_count(self) -> int:
        """Callbacks of tasks that the ledger does not know."""
        return sum(map(len, self._unmatched.values()))

    @property
    def unmatched_files(self) -> list[str]:
        """The files that such callbacks are in."""
        return list(self._unmatched)

    def poll(self) -> bool:
        """Whether there is something to take over."""
        names = [file.name for file in self._folder.list(CALLBACKS)]
        self._unmatched = {name: self._unmatched[name] for name in names if name in self._unmatched}
        self._new = [name for name in names if name not in self._unmatched]
        return bool(self._new) or any(map(self._is_matched, (one for left in self._unmatched.values() for one in left)))

    def batches(self) -> Iterator[list[Callback]]:
        """What is to be taken over, as of the last look. A batch's files go when the next one is asked for."""
        batch: list[Callback] = []
        left: dict[str, list[Callback]] = {}
        for name in [*self._unmatched, *self._new]:
            found = self._unmatched[name] if name in self._unmatched else list(read_stored(self._folder, name))
            batch += [one for one in found if self._is_matched(one)]
            left[name] = [one for one in found if not self._is_matched(one)]
            if len(batch) >= BATCH_SIZE:
                yield batch
                self._acknowledge(left)
                batch, left = [], {}
        yield batch
        self._acknowledge(left)

    def _acknowledge(self, left: dict[str, list[Callback]]) -> None:
        self._unmatched.update(left)
        for name in [name for name, callbacks in left.items() if not callbacks]:
            del self._unmatched[name]
            self._folder.delete(name)

    def _is_matched(self, callback: Callback) -> bool:
        return callback.task_id is not None and self._ledger.has_task(callback.task_id)
