"""A few of the rows that ended without a label, for people to look at."""

from __future__ import annotations

from typing import Any

from labelflow.outputs.outcomes import ERRORS
from labelflow.outputs.rejects import REJECTS
from labelflow.storage.folder import Folder
from labelflow.tables.parts import list_parts, read_part

MAX_ROWS = 100  # an event of Prefect's may not pass 1.5 MB
MAX_REASON_CHARS = 300  # characters


def unlabeled_rows(folder: Folder, most: int = MAX_ROWS) -> list[dict[str, Any]]:
    """At most so many of the rows in rejects/ and errors/: outcome, row_id, and the reason."""
    found: list[dict[str, Any]] = []
    for name in list_parts(folder, REJECTS):
        columns = ["reject_row_id", "reject_row", "reject_field", "reject_reason", "reject_fix"]
        for row in read_part(folder, name, columns).slice(0, most).to_pylist():
            reason = f"row {row['reject_row']}: {row['reject_field']}: {row['reject_reason']}; {row['reject_fix']}"
            found.append({"outcome": "rejected", "row_id": row["reject_row_id"], "reason": reason[:MAX_REASON_CHARS]})
    for name in list_parts(folder, ERRORS):
        if len(found) >= most:
            break
        for row in read_part(folder, name, ["row_id", "status", "reason"]).slice(0, most).to_pylist():
            reason = str(row["reason"])[:MAX_REASON_CHARS]
            found.append({"outcome": row["status"], "row_id": row["row_id"], "reason": reason})
    return found[:most]
