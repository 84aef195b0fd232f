"""Rows that change at the worst moment: their task was made, and the ledger does not know it yet."""

from __future__ import annotations

import io
import json
import time

import pyarrow.parquet as pq

from labeling.storage import open_folder
from scale.client import ScaleClient
from tests.acceptance.chaos.lives import KEY, Job

MOST = 5  # rows that are changed in a job
LAG_SECONDS = 1.2  # until the sandbox's list shows a task for sure


def change_unrecorded_rows(job: Job) -> set[str]:
    """Give another text to a few rows that have a task which is not in the ledger. Returns their ids.

    No run may be at work.
    """
    time.sleep(LAG_SECONDS)
    chosen = set(sorted(_made(job) - _recorded(job))[:MOST])
    rows = [json.loads(line) for line in job.manifest.read_text().splitlines()]
    for row in rows:
        if row["id"] in chosen:
            row["text"] += ", which is another one now"
    job.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return chosen


def _made(job: Job) -> set[str]:
    with ScaleClient(KEY, job.url, timeout=(2.0, 2.0)) as client:
        tasks = list(client.list_tasks(start_time=job.begun_at))
    return {str(task.metadata["row_id"]) for task in tasks if task.metadata["job"] == job.name}


def _recorded(job: Job) -> set[str]:
    folder = open_folder(job.output)
    contents = [folder.read(file.name) or b"" for file in folder.list("_ledger/submissions/")]
    return {str(row_id) for content in contents for row_id in pq.read_table(io.BytesIO(content))["row_id"].to_pylist()}
