"""After the chaos: what the sandbox has, and what the output folders say."""

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
LISTING_LAG = 1.2  # until the sandbox's list shows a task for sure
OUTCOMES = ("labeled", "rejected", "error", "canceled", "pending")
ROW_ID = {"labels/": "row_id", "errors/": "row_id", "rejects/": "id", "_ledger/submissions/": "row_id"}


def check_output(job: ChaosJob, good: set[str], bad: set[str], report: ChaosReport) -> None:
    """A job that is through: every row in exactly one outcome, every file readable, the numbers add up."""
    folder = open_folder(job.output)
    row_ids = {prefix: _row_ids(folder, prefix, report) for prefix in ROW_ID}
    found = row_ids["labels/"] + row_ids["errors/"] + row_ids["rejects/"]
    lost = sorted(row_id for row_id in good | bad if found[row_id] != 1)
    report.lost += len(lost)
    for row_id in lost[:3]:
        counts = ", ".join(f"{counted[row_id]} in {prefix}" for prefix, counted in row_ids.items())
        report.violations.append(f"{job.name}: {row_id} is {counts}")
    if set(row_ids["rejects/"]) != bad:
        odd = sorted(set(row_ids["rejects/"]) ^ bad)
        report.violations.append(f"{job.name}: rejected by mistake or not at all: {odd[:5]}")
    summary = json.loads(folder.read("summary.json") or b"{}")
    adds_up = sum(summary[name] for name in OUTCOMES) == summary["rows"] == len(good) + len(bad)
    if not adds_up or summary["pending"] or summary["labeled"] != row_ids["labels/"].total():
        report.violations.append(f"{job.name}: {row_ids['labels/'].total()} labels, and {summary}")
    report.jobs += 1
    report.rows += len(good) + len(bad)


def listed_row_ids(job: ChaosJob) -> list[str]:
    """The rows of the tasks of a job that the sandbox shows at this moment, one for each task."""
    with ScaleClient(KEY, job.url, timeout=(2.0, 2.0)) as client:
        tasks = list(client.list_tasks(start_time=job.started_at))
    return [str(task.metadata["row_id"]) for task in tasks if task.metadata["job"] == job.name]


def settled_row_ids(job: ChaosJob) -> list[str]:
    """The same, once it shows those that were created by now."""
    time.sleep(LISTING_LAG)
    return listed_row_ids(job)


def check_cap(job: ChaosJob, report: ChaosReport) -> None:
    """A job whose runs came to an end under a cap: it has as many tasks as it may have, none more."""
    created = len(settled_row_ids(job))
    report.capped += 1
    report.over_cap += max(0, created - (job.cap or 0))
    if created != job.cap:
        report.violations.append(f"{job.name}: {created} tasks under a cap of {job.cap}")


def _row_ids(folder: Folder, prefix: str, report: ChaosReport) -> Counter[str]:
    """How often each row is in the files below a prefix."""
    found: Counter[str] = Counter()
    for file in folder.list(prefix):
        try:
            table = pq.read_table(io.BytesIO(folder.read(file.name) or b""))
        except (pa.ArrowException, OSError) as error:
            report.unreadable += 1
            report.violations.append(f"{folder.uri}/{file.name}: {error}"[:300])
            continue
        found.update(map(str, table[ROW_ID[prefix]].to_pylist()))
    return found


def check_tasks(database: Path, expected: Counter[tuple[str, str]], report: ChaosReport) -> None:
    """What the sandbox has, once it has ended: one task for each row that could be submitted, no other.

    expected: (job, row_id) of all of them.
    """
    created: Counter[tuple[str, str]] = Counter()
    with closing(sqlite3.connect(database)) as connection:
        for (metadata,) in connection.execute("SELECT metadata FROM tasks"):
            known = json.loads(metadata)
            created[known["job"], known["row_id"]] += 1
    report.created = created.total()
    report.duplicates = sum(count - 1 for count in created.values())
    if set(created) != set(expected):
        missing, odd = set(expected) - set(created), set(created) - set(expected)
        report.violations.append(
            f"{len(missing)} rows have no task, {len(odd)} tasks have no row: {[*missing, *odd][:5]}"
        )
