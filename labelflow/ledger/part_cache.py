"""A cache of complete ledger parts."""

from __future__ import annotations

import threading

import pyarrow as pa

from labelflow.storage.folder import Folder
from labelflow.tables.carried_columns import with_carried_columns
from labelflow.tables.part_files import read_part

CACHED_BYTES = 16 << 20  # of submissions kept with all columns; of the others only `LoadedPart` is in memory


class PartCache:
    """Reads complete parts of a folder and keeps the most recently used, up to CACHED_BYTES. Thread-safe.

    schema: of the tables that are returned; a carried column that a part does not have is null.
    """

    def __init__(self, folder: Folder, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._tables: dict[str, pa.Table] = {}  # in order of use, the most recent last
        self._sizes: dict[str, int] = {}  # of the same tables
        self._lock = threading.Lock()

    def read(self, name: str) -> pa.Table:
        """Return the part with this file name. Raises StorageError."""
        with self._lock:
            table = self._tables.pop(name, None)
            self._sizes.pop(name, None)
        if table is None:
            table = with_carried_columns(read_part(self._folder, name), self._schema)
        self.put(name, table)
        return table

    def put(self, name: str, table: pa.Table) -> None:
        """Add a part whose table is already in memory."""
        with self._lock:
            self._tables[name], self._sizes[name] = table, table.nbytes
            while len(self._tables) > 1 and sum(self._sizes.values()) > CACHED_BYTES:
                oldest = next(iter(self._tables))
                del self._tables[oldest], self._sizes[oldest]
