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
from labelflow.storage.folder import Folder, open_folder
from tests.acceptance.chaos.tally import Tally

if TYPE_CHECKING:
    from tests.acceptance.chaos.run_lifecycle import Job

KEY = "test_chaos"
LAG_SECONDS = 1.2  # until the sandbox's list shows a task for sure
OUTCOMES = ("labeled", "rejected", "error", "canceled", "pending")
ROW_ID = {"labels/": "row_id", "errors/": "row_id", "rejects/": "id", "_ledger/submissions/": "row_id"}


def check_output(job: Job, good: set[str], bad: set[str], tally: Tally) -> None:
    """A job that is through: every row in exactly one outcome, every file readable, the numbers add up."""
    folder = open_folder(job.output)
    places = {prefix: _row_ids(folder, prefix, tally) for prefix in ROW_ID}
    found = places["labels/"] + places["errors/"] + places["rejects/"]
    lost = sorted(row_id for row_id in good | bad if found[row_id] != 1)
    tally.lost += len(lost)
    for row_id in lost[:3]:
        counts = ", ".join(f"{counted[row_id]} in {prefix}" for prefix, counted in places.items())
        tally.wrong.append(f"{job.name}: {row_id} is {counts}")
    if set(places["rejects/"]) != bad:
        odd = sorted(set(places["rejects/"]) ^ bad)
        tally.wrong.append(f"{job.name}: rejected by mistake or not at all: {odd[:5]}")
    summary = json.loads(folder.read("summary.json") or b"{}")
    adds_up = sum(summary[name] for name in OUTCOMES) == summary["rows"] == len(good) + len(bad)
    if not adds_up or summary["pending"] or summary["labeled"] != places["labels/"].total():
        tally.wrong.append(f"{job.name}: {places['labels/'].total()} labels, and {summary}")
    tally.jobs += 1
    tally.rows += len(good) + len(bad)


def tasks_of(job: Job) -> list[str]:
    """The rows of the tasks of a job that the sandbox shows at this moment, one for each task."""
    with ScaleClient(KEY, job.url, timeout=(2.0, 2.0)) as client:
        tasks = list(client.list_tasks(start_time=job.begun_at))
    return [str(task.metadata["row_id"]) for task in tasks if task.metadata["job"] == job.name]


def all_tasks_of(job: Job) -> list[str]:
    """The same, once it shows those that were created by now."""
    time.sleep(LAG_SECONDS)
    return tasks_of(job)


def check_cap(job: Job, tally: Tally) -> None:
    """A job whose runs came to an end under a cap: it has as many tasks as it may have, none more."""
    created = len(all_tasks_of(job))
    tally.capped += 1
    tally.over_cap += max(0, created - (job.cap or 0))
    if created != job.cap:
        tally.wrong.append(f"{job.name}: {created} tasks under a cap of {job.cap}")


def _row_ids(folder: Folder, prefix: str, tally: Tally) -> Counter[str]:
    """How often each row is in the files below a prefix."""
    found: Counter[str] = Counter()
    for file in folder.list(prefix):
        try:
            table = pq.read_table(io.BytesIO(folder.read(file.name) or b""))
        except (pa.ArrowException, OSError) as error:
            tally.unreadable += 1
            tally.wrong.append(f"{folder.uri}/{file.name}: {error}"[:300])
            continue
        found.update(map(str, table[ROW_ID[prefix]].to_pylist()))
    return found


def count_tasks(database: Path, expected: Counter[tuple[str, str]], tally: Tally) -> None:
    """What the sandbox has, once it has ended: one task for each row that could be submitted, no other.

    expected: (job, row_id) of all of them.
    """
    created: Counter[tuple[str, str]] = Counter()
    with closing(sqlite3.connect(database)) as connection:
        for (metadata,) in connection.execute("SELECT metadata FROM tasks"):
            known = json.loads(metadata)
            created[known["job"], known["row_id"]] += 1
    tally.created = created.total()
    tally.duplicates = sum(count - 1 for count in created.values())
    if set(created) != set(expected):
        missing, odd = set(expected) - set(created), set(created) - set(expected)
        tally.wrong.append(f"{len(missing)} rows have no task, {len(odd)} tasks have no row: {[*missing, *odd][:5]}")
