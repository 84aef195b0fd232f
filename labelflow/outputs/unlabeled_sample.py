"""A sample of the rows that ended without a label, for display."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from labelflow.outputs.folders import ERRORS, REJECTS
from labelflow.storage.folder import Folder
from labelflow.tables.part_files import list_parts, read_groups, retry_listing

MAX_ROWS = 100  # with MAX_REASON_CHARS far below 1.5 MB, the limit of a Prefect event
MAX_REASON_CHARS = 300


def sample_unlabeled_rows(folder: Folder, limit: int = MAX_ROWS) -> list[dict[str, Any]]:
    """Return at most `limit` rows of rejects/ and errors/, each a dict with `outcome`, `row_id` and `reason`."""
    return retry_listing(lambda: _sample(folder, limit))


def _sample(folder: Folder, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in list_parts(folder, REJECTS):
        columns = ["reject_row_id", "reject_row", "reject_field", "reject_reason", "reject_fix"]
        for row in _first_rows(folder, name, columns, limit):
            reason = f"row {row['reject_row']}: {row['reject_field']}: {row['reject_reason']}; {row['reject_fix']}"
            rows.append({"outcome": "rejected", "row_id": row["reject_row_id"], "reason": reason[:MAX_REASON_CHARS]})
    for name in list_parts(folder, ERRORS):
        if len(rows) >= limit:
            break
        for row in _first_rows(folder, name, ["row_id", "status", "reason"], limit):
            reason = str(row["reason"])[:MAX_REASON_CHARS]
            rows.append({"outcome": row["status"], "row_id": row["row_id"], "reason": reason})
    return rows[:limit]


def _first_rows(folder: Folder, name: str, columns: list[str], limit: int) -> Iterator[dict[str, Any]]:
    rows = (row for table in read_groups(folder, name, columns) for row in table.slice(0, limit).to_pylist())
    return islice(rows, limit)
