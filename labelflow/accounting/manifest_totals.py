"""The totals of a manifest scan.

What only a manifest scan can determine is written at its end, to `_ledger/manifest.json`. The other counts come from
the ledger and the outcomes. So collecting answers needs no manifest.
"""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from labelflow.errors import RunAborted
from labelflow.ledger.ledger import Ledger
from labelflow.storage.folder import Folder

FILE = "_ledger/manifest.json"


class ManifestTotals(BaseModel):
    """Numbers of rows at the end of the last manifest scan."""

    rows: int
    rejected: int
    over_cap: int
    beyond_limit: int
    outcome_unknown: int
    changed: int
    removed_rows: list[str]  # ids of rows with a task that are no longer in the manifest
    rows_with_task: int  # in the ledger, at that time

    @property
    def not_submitted(self) -> int:
        """Rows without a task that are not known to be invalid."""
        return self.over_cap + self.beyond_limit + self.outcome_unknown

    def write(self, folder: Folder) -> None:
        """Write the totals to the output folder."""
        folder.write(FILE, self.model_dump_json().encode())


def read_totals(folder: Folder, ledger: Ledger) -> ManifestTotals | None:
    """Return the recorded totals; None if there are none, or if rows were submitted after they were recorded.

    Raises RunAborted if the file is corrupt.
    """
    content = folder.read(FILE)
    if content is None:
        return None
    try:
        totals = ManifestTotals.model_validate_json(content)
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{FILE} is corrupt; run label_dataset to rewrite it") from None
    return totals if totals.rows_with_task == len(ledger) else None
