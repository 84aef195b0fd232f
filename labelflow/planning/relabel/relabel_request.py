"""A request to relabel the rows of a file: which tasks it replaces. An interrupted request is continued."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson

from labelflow.errors import InvalidInput
from labelflow.ledger.ledger import Ledger
from labelflow.planning.relabel.row_ids_file import match_row_ids
from labelflow.storage.folder import Folder
from labelflow.tables.key_index import MISSING

FILE = "_ledger/relabel.json"


class RelabelRequest:
    """tasks: by row_id, the task that the request replaces. A row whose latest task is another one is done.

    Until each of its rows is done, the request is in the output folder: after a crash, the same rows continue it.
    """

    def __init__(self, folder: Folder, digest: str, tasks: dict[str, str]) -> None:
        self.tasks = tasks
        self._folder = folder
        self._digest = digest

    @classmethod
    def open(cls, folder: Folder, ledger: Ledger, source: str, row_ids: Sequence[str]) -> RelabelRequest:
        """Return the request for some rows: the interrupted one if it is for the same rows, else a new one.

        source: the file, for the message. Raises InvalidInput if none of the rows has a task.
        """
        known, _ = match_row_ids(row_ids, lambda ids: (ledger.positions(list(ids)) != MISSING).tolist())
        if not known:
            raise InvalidInput(source, "names no row that has a task", "list row ids as they are in the manifest")
        digest = hashlib.sha256("\n".join(sorted(known)).encode("utf-8", "surrogatepass")).hexdigest()
        content = folder.read(FILE)
        interrupted = orjson.loads(content) if content else {}
        if interrupted.get("digest") == digest:
            return cls(folder, digest, interrupted["tasks"])
        return cls(folder, digest, {row_id: ledger.latest_task_id(row_id) for row_id in known})

    def save(self) -> None:
        """Write the request, before its first task is created."""
        self._folder.write(FILE, orjson.dumps({"digest": self._digest, "tasks": self.tasks}))

    def finish(self) -> None:
        """Remove the request: all its rows have a new task."""
        self._folder.delete(FILE)
