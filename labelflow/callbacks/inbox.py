"""The inbox of a job: callbacks that were acknowledged, and are not taken over yet.

A file stays until all of its callbacks are taken over, so a crash loses none. A callback of a task that the ledger does
not know stays, too: the run that creates the task may be about to record it.
"""

from __future__ import annotations

from collections.abc import Iterator

from labelflow.callbacks.callback import CALLBACKS, Callback, read_stored
from labelflow.ledger.ledger import Ledger
from labelflow.storage.folder import Folder

CALLBACKS_AT_ONCE = 5000  # held in memory before they are written as answers


class Inbox:
    """Shows the callbacks whose tasks the ledger knows, as it grows."""

    def __init__(self, folder: Folder, ledger: Ledger) -> None:
        self._folder = folder
        self._ledger = ledger
        self._left: dict[str, list[Callback]] = {}  # by file: those that the ledger does not know
        self._new: list[str] = []

    @property
    def unknown(self) -> int:
        """Callbacks of tasks that the ledger does not know."""
        return sum(map(len, self._left.values()))

    @property
    def left(self) -> list[str]:
        """The files that such callbacks are in."""
        return list(self._left)

    def look(self) -> bool:
        """Whether there is something to take over."""
        names = [file.name for file in self._folder.list(CALLBACKS)]
        self._left = {name: self._left[name] for name in names if name in self._left}
        self._new = [name for name in names if name not in self._left]
        return bool(self._new) or any(map(self._knows, (one for left in self._left.values() for one in left)))

    def batches(self) -> Iterator[list[Callback]]:
        """What is to be taken over, as of the last look. A batch's files go when the next one is asked for."""
        batch: list[Callback] = []
        left: dict[str, list[Callback]] = {}
        for name in [*self._left, *self._new]:
            found = self._left[name] if name in self._left else list(read_stored(self._folder, name))
            batch += [one for one in found if self._knows(one)]
            left[name] = [one for one in found if not self._knows(one)]
            if len(batch) >= CALLBACKS_AT_ONCE:
                yield batch
                self._settle(left)
                batch, left = [], {}
        yield batch
        self._settle(left)

    def _settle(self, left: dict[str, list[Callback]]) -> None:
        self._left.update(left)
        for name in [name for name, callbacks in left.items() if not callbacks]:
            del self._left[name]
            self._folder.delete(name)

    def _knows(self, callback: Callback) -> bool:
        return callback.task_id is not None and self._ledger.has_task(callback.task_id)
