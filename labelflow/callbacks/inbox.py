"""The inbox of a job: acknowledged callbacks that are not collected yet.

A file is deleted after all of its callbacks are collected, so a crash loses none. A callback whose task is not in the
ledger stays: the run that created the task may not have recorded it yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from labelflow.callbacks.callback import Callback
from labelflow.callbacks.stored_callbacks import CALLBACKS, read_stored
from labelflow.ledger.ledger import Ledger
from labelflow.storage.folder import Folder

BATCH_SIZE, BATCH_BYTES = 5000, 8 << 20  # of callbacks in memory before they are written as answers


class Inbox:
    """Yields the stored callbacks whose tasks are in the ledger. The ledger may grow between two polls."""

    def __init__(self, folder: Folder, ledger: Ledger) -> None:
        self._folder = folder
        self._ledger = ledger
        self._unmatched: dict[str, list[Callback]] = {}  # by file: callbacks whose tasks are not in the ledger
        self._new: list[str] = []

    @property
    def unmatched_count(self) -> int:
        """Number of callbacks whose tasks are not in the ledger."""
        return sum(map(len, self._unmatched.values()))

    @property
    def unmatched_files(self) -> list[str]:
        """Files that contain such callbacks."""
        return list(self._unmatched)

    def poll(self) -> bool:
        """List the stored files. Returns whether there are callbacks to collect."""
        names = [file.name for file in self._folder.list(CALLBACKS)]
        self._unmatched = {name: self._unmatched[name] for name in names if name in self._unmatched}
        self._new = [name for name in names if name not in self._unmatched]
        return bool(self._new) or any(
            self._is_matched(each) for callbacks in self._unmatched.values() for each in callbacks
        )

    def batches(self) -> Iterator[list[Callback]]:
        """Yield the callbacks to collect, as of the last poll. Files are deleted when the next batch is requested."""
        batch: list[Callback] = []
        unmatched: dict[str, list[Callback]] = {}
        size = 0
        for name in [*self._unmatched, *self._new]:
            stored = self._unmatched[name] if name in self._unmatched else list(read_stored(self._folder, name))
            batch += [callback for callback in stored if self._is_matched(callback)]
            unmatched[name] = [callback for callback in stored if not self._is_matched(callback)]
            size += sum(callback.size for callback in stored)
            if len(batch) >= BATCH_SIZE or size >= BATCH_BYTES:
                yield batch
                self._acknowledge(unmatched)
                batch, unmatched, size = [], {}, 0
        yield batch
        self._acknowledge(unmatched)

    def _acknowledge(self, unmatched: dict[str, list[Callback]]) -> None:
        """Delete the files of a batch, except those with unmatched callbacks."""
        self._unmatched.update(unmatched)
        for name in [name for name, callbacks in unmatched.items() if not callbacks]:
            del self._unmatched[name]
            self._folder.delete(name)

    def _is_matched(self, callback: Callback) -> bool:
        return callback.task_id is not None and self._ledger.has_task(callback.task_id)
