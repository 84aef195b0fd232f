"""Manifest edits at the worst moment: the task of a row exists, but is not in the ledger yet."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq

from labelflow.storage.opening import open_folder
from tests.proofs.chaos.audit import settled_row_ids
from tests.proofs.chaos.run_lifecycle import ChaosJob

MAX_CHANGED_ROWS = 5  # per job


def change_unrecorded_rows(job: ChaosJob) -> set[str]:
    """Change the text of a few rows whose task is not in the ledger. Returns their ids.

    No run of the job may be running.
    """
    row_ids = set(sorted(set(settled_row_ids(job)) - _recorded_row_ids(job))[:MAX_CHANGED_ROWS])
    rows = [json.loads(line) for line in job.manifest.read_text().splitlines()]
    for row in rows:
        if row["id"] in row_ids:
            row["text"] += ", changed"
    job.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return row_ids


def _recorded_row_ids(job: ChaosJob) -> set[str]:
    folder = open_folder(job.output)
    contents = [folder.read(file.name) or b"" for file in folder.list("_ledger/submissions/")]
    return {str(row_id) for content in contents for row_id in pq.read_table(io.BytesIO(content))["row_id"].to_pylist()}
