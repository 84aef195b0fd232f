"""Audit after the kills: compares the tasks of the sandbox with the output folders."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.scale.client import ScaleClient
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_folder
from tests.proofs.chaos.tally import ChaosReport

if TYPE_CHECKING:
    from tests.proofs.chaos.run_lifecycle import ChaosJob

KEY = "test_chaos"
LISTING_LAG = 1.2  # seconds until a new task is in the sandbox's list
OUTCOMES = ("labeled", "rejected", "error", "canceled", "pending")
ROW_ID = {"labels/": "row_id", "errors/": "row_id", "rejects/": "id", "_ledger/submissions/": "row_id"}


def check_output(job: ChaosJob, good: set[str], bad: set[str], report: ChaosReport) -> None:
    """Check a complete job: every row has exactly one outcome, every file is readable, the counts match."""
    folder = open_folder(job.output)
    row_ids = {prefix: _row_ids(folder, prefix, report) for prefix in ROW_ID}
    outcomes = row_ids["labels/"] + row_ids["errors/"] + row_ids["rejects/"]
    lost = sorted(row_id for row_id in good | bad if outcomes[row_id] != 1)
    report.lost += len(lost)
    for row_id in lost[:3]:
        counts = ", ".join(f"{ids[row_id]} in {prefix}" for prefix, ids in row_ids.items())
        report.violations.append(f"{job.name}: {row_id}: {counts}")
    if set(row_ids["rejects/"]) != bad:
        differing = sorted(set(row_ids["rejects/"]) ^ bad)
        report.violations.append(f"{job.name}: rejected by mistake, or not rejected: {differing[:5]}")
    summary = json.loads(folder.read("summary.json") or b"{}")
    counts_match = sum(summary[name] for name in OUTCOMES) == summary["rows"] == len(good) + len(bad)
    if not counts_match or summary["pending"] or summary["labeled"] != row_ids["labels/"].total():
        report.violations.append(f"{job.name}: {row_ids['labels/'].total()} labels, summary {summary}")
    report.jobs += 1
    report.rows += len(good) + len(bad)


def listed_row_ids(job: ChaosJob) -> list[str]:
    """The row id of each task of a job that the sandbox lists now."""
    with ScaleClient(KEY, job.url, timeout=(2.0, 2.0)) as client:
        tasks = list(client.list_tasks(start_time=job.started_at))
    return [str(task.metadata["row_id"]) for task in tasks if task.metadata["job"] == job.name]


def settled_row_ids(job: ChaosJob) -> list[str]:
    """The same, after the listing lag: with all tasks that exist at the time of the call."""
    time.sleep(LISTING_LAG)
    return listed_row_ids(job)


def check_cap(job: ChaosJob, report: ChaosReport) -> None:
    """Check a complete job with a cap: it has exactly as many tasks as the cap allows."""
    created = len(settled_row_ids(job))
    report.capped += 1
    report.over_cap += max(0, created - (job.cap or 0))
    if created != job.cap:
        report.violations.append(f"{job.name}: {created} tasks under a cap of {job.cap}")


def _row_ids(folder: Folder, prefix: str, report: ChaosReport) -> Counter[str]:
    """The number of occurrences of each row id in the files below a prefix."""
    counts: Counter[str] = Counter()
    for file in folder.list(prefix):
        try:
            table = pq.read_table(io.BytesIO(folder.read(file.name) or b""))
        except (pa.ArrowException, OSError) as error:
            report.unreadable += 1
            report.violations.append(f"{folder.uri}/{file.name}: {error}"[:300])
            continue
        counts.update(map(str, table[ROW_ID[prefix]].to_pylist()))
    return counts


def check_tasks(database: Path, expected: Counter[tuple[str, str]], report: ChaosReport) -> None:
    """Check the database of the stopped sandbox: one task for each valid row, and no other tasks.

    expected: (job, row_id) of all valid rows.
    """
    created: Counter[tuple[str, str]] = Counter()
    with closing(sqlite3.connect(database)) as connection:
        for (metadata,) in connection.execute("SELECT metadata FROM tasks"):
            decoded = json.loads(metadata)
            created[decoded["job"], decoded["row_id"]] += 1
    report.created = created.total()
    report.duplicates = sum(count - 1 for count in created.values())
    if set(created) != set(expected):
        missing, unexpected = set(expected) - set(created), set(created) - set(expected)
        report.violations.append(
            f"{len(missing)} rows have no task, {len(unexpected)} tasks have no row: {[*missing, *unexpected][:5]}"
        )
