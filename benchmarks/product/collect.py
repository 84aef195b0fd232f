"""Collect a job whose tasks are all completed: from pages of tasks to compacted labels/.

    python -m benchmarks.product.collect CONFIG --output FOLDER

It does the same as flows/collect_responses.py for a job, without Prefect. `seconds` includes all of it: opening the
ledger, fetching and writing the answers, and the compaction.
"""

from __future__ import annotations

import time
from contextlib import closing

from benchmarks.process_metrics import report
from benchmarks.product.arguments import load_job_argument
from labelflow.cli import garbage
from labelflow.operations.collect import collect_job
from labelflow.operations.existing_job import ExistingJob


def main() -> None:
    """Collect the job and report."""
    job = load_job_argument(__doc__)
    garbage.tune_garbage_collector()
    started_at = time.monotonic()
    with closing(ExistingJob(job)) as existing:
        result = collect_job(existing)
    report(result.labeled, time.monotonic() - started_at)


if __name__ == "__main__":
    main()
