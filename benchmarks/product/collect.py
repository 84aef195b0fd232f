"""A visit to a job whose tasks have been answered: pages of tasks in, finished labels/ out.

    python -m benchmarks.product.collect CONFIG --output FOLDER

It is what flows/collect_responses.py does with a job, without Prefect. `seconds` is all of it: the ledger is
opened, the answers are fetched and written, and the files are made large.
"""

from __future__ import annotations

import time
from contextlib import closing

from benchmarks.process_metrics import report
from benchmarks.product.arguments import load_job_argument
from labelflow.cli.runtime import tune_garbage_collector
from labelflow.operations.collect import collect_job
from labelflow.operations.existing_job import ExistingJob


def main() -> None:
    """Visit, and tell."""
    job = load_job_argument(__doc__)
    tune_garbage_collector()
    begun = time.monotonic()
    with closing(ExistingJob(job)) as opened:
        visited = collect_job(opened)
    report(visited.labeled, time.monotonic() - begun)


if __name__ == "__main__":
    main()
