"""Rows that change at the worst moment: their task was made, and the ledger does not know it yet."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq

from labelflow.storage.opening import open_folder
from tests.proofs.chaos.audit import settled_row_ids
from tests.proofs.chaos.run_lifecycle import ChaosJob

MAX_CHANGED_ROWS = 5  # rows that are changed in a job


def change_unrecorded_rows(job: ChaosJob) -> set[str]:
    """Give another text to a few rows that have a task which is not in the ledger. Returns their ids.

    No run may be at work.
    """
    chosen = set(sorted(set(settled_row_ids(job)) - _recorded_row_ids(job))[:MAX_CHANGED_ROWS])
    rows = [json.loads(line) for line in job.manifest.read_text().splitlines()]
    for row in rows:
        if row["id"] in chosen:
            row["text"] += ", which is another one now"
    job.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return chosen


def _recorded_row_ids(job: ChaosJob) -> set[str]:
    folder = open_folder(job.output)
    contents = [folder.read(file.name) or b"" for file in folder.list("_ledger/submissions/")]
    return {str(row_id) for content in contents for row_id in pq.read_table(io.BytesIO(content))["row_id"].to_pylist()}
