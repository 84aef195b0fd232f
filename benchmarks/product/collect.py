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
from labelflow.cli.gc_settings import tune_garbage_collector
from labelflow.ledger.context import open_existing_job
from labelflow.operations.collect import collect_job


def main() -> None:
    """Collect the job and report."""
    job = load_job_argument(__doc__)
    tune_garbage_collector()
    start = time.monotonic()
    with closing(open_existing_job(job)) as opened:
        result = collect_job(opened)
    report(result.labeled, time.monotonic() - start)


if __name__ == "__main__":
    main()
