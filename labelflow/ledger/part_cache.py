"""A cache of whole ledger parts."""

from __future__ import annotations

import threading

import pyarrow as pa

from labelflow.storage.folder import Folder
from labelflow.tables.parts import read_part

CACHED_ROWS = 50_000  # submissions that are kept whole in memory, some 12 MB; of all others the columns of `LedgerPart`


class PartCache:
    """Whole parts of a folder; those that were used last are kept. Threads may share one."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._tables: dict[str, pa.Table] = {}  # the one that was used last at the end
        self._lock = threading.Lock()

    def read(self, name: str) -> pa.Table:
        """The part of that name."""
        with self._lock:
            table = self._tables.pop(name, None)
        if table is None:
            table = read_part(self._folder, name)
        self.put(name, table)
        return table

    def put(self, name: str, table: pa.Table) -> None:
        """Keep a part that is known already."""
        with self._lock:
            self._tables[name] = table
            while len(self._tables) > 1 and sum(map(len, self._tables.values())) > CACHED_ROWS:
                del self._tables[next(iter(self._tables))]
