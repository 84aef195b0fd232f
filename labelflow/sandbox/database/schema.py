"""The tables of the sandbox's SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA_VERSION = 1

# The indexes cover the filters: the matches of a common filter are counted without reading the table.
SCHEMA = """
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    owner INTEGER NOT NULL,
    is_test INTEGER NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    updated_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    unique_id TEXT,
    frees_unique_id INTEGER NOT NULL,
    project TEXT,
    batch TEXT,
    tags TEXT,
    callback_url TEXT,
    callback_succeeded INTEGER,
    instruction TEXT,
    urgency TEXT NOT NULL,
    params TEXT NOT NULL,
    metadata TEXT NOT NULL,
    response TEXT
);
CREATE UNIQUE INDEX by_unique_id ON tasks (owner, unique_id) WHERE unique_id IS NOT NULL;
CREATE INDEX by_created_at ON tasks (created_at);
CREATE INDEX by_owner ON tasks (owner, seq, status, type, project, batch);
CREATE INDEX by_status ON tasks (owner, status);
CREATE INDEX by_type ON tasks (owner, type, status);
CREATE INDEX by_type_completed_at ON tasks (owner, type, status, completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX by_completed_at ON tasks (owner, completed_at, status, type) WHERE completed_at IS NOT NULL;
CREATE INDEX by_updated_at ON tasks (owner, updated_at, status, type);

CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY REFERENCES tasks (seq),
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL
);
"""


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open or create a database; None creates one in memory.

    Raises sqlite3.Error if the file is not a database, has another version, or another sandbox uses it.
    """
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0.5, cached_statements=512)
    # Each commit is passed to the operating system, without fsync: kill -9 loses nothing, a power failure may.
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = OFF", "cache_size = -65536"):
        connection.execute(f"PRAGMA {pragma}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"its version is {version}, this sandbox needs version {SCHEMA_VERSION}")
    if version == 0:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    return connection
