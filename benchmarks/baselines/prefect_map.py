"""A Prefect flow with one task run per row, with Scale's official client.

Source: Prefect's docs, "Map over iterables".
"""

from __future__ import annotations

if __name__ == "__main__":  # Prefect reads its settings when it is imported
    from labelflow.cli.environment import load_environment

    load_environment()

import time
from pathlib import Path

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from scaleapi import ScaleClient
from scaleapi.tasks import TaskType

from benchmarks.baselines.script import parse_options, write_ids
from benchmarks.process_metrics import report
from benchmarks.workload import KEY, THREADS, Row, read_manifest, request

if __name__ == "__main__":
    OPTIONS = parse_options(__doc__)
    CLIENT = ScaleClient(KEY, api_instance_url=OPTIONS.url)


@task
def create(row: Row) -> tuple[str, str]:
    """Create the task of a row."""
    return row["id"], CLIENT.create_task(TaskType.Categorization, **request(row)).id


@flow(task_runner=ThreadPoolTaskRunner(max_workers=THREADS))  # type: ignore[arg-type]
def submit(manifest: Path, rows: int, output: Path) -> tuple[int, float]:
    """Submit a manifest; returns the number of rows, and the seconds from the first task run to the last."""
    started_at = time.monotonic()
    ids = create.map(read_manifest(manifest, rows)).result()
    write_ids(output, ids)
    return len(ids), time.monotonic() - started_at


if __name__ == "__main__":
    report(*submit(OPTIONS.manifest, OPTIONS.rows, OPTIONS.output))
