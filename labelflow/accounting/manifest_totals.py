"""The accounts of a job: where each row of its manifest stands, in numbers that add up.

What only a walk through the manifest can tell is written down when the walk is done (`_ledger/manifest.json`); the rest
is counted from the ledger and from what has come back. So a later look at the job needs no manifest.
"""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from labelflow.errors import RunAborted
from labelflow.ledger.ledger import Ledger
from labelflow.storage.folder import Folder

FILE = "_ledger/manifest.json"


class ManifestTotals(BaseModel):
    """What the last walk through the manifest found. Numbers of rows; `removed_rows` names those with a task that are
    no longer in the manifest; `rows_with_task` is how many rows had a task then."""

    rows: int
    rejected: int
    over_cap: int
    beyond_limit: int
    outcome_unknown: int
    changed: int
    removed_rows: list[str]
    rows_with_task: int

    @property
    def not_submitted(self) -> int:
        """Rows that are good as far as is known, and have no task yet."""
        return self.over_cap + self.beyond_limit + self.outcome_unknown

    def write(self, folder: Folder) -> None:
        """Write them down."""
        folder.write(FILE, self.model_dump_json().encode())


def read_totals(folder: Folder, ledger: Ledger) -> ManifestTotals | None:
    """What was written down; None where rows have been submitted since, and the walk was not finished."""
    content = folder.read(FILE)
    if content is None:
        return None
    try:
        accounts = ManifestTotals.model_validate_json(content)
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{FILE} is damaged; run label_dataset to have it written anew") from None
    return accounts if accounts.rows_with_task == len(ledger) else None
