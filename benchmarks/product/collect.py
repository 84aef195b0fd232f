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
from labelflow.cli import garbage
from labelflow.ledger.context import open_existing_job
from labelflow.operations.collect import collect_job


def main() -> None:
    """Visit, and tell."""
    job = load_job_argument(__doc__)
    garbage.tune_garbage_collector()
    begun = time.monotonic()
    with closing(open_existing_job(job)) as opened:
        visited = collect_job(opened)
    report(visited.labeled, time.monotonic() - begun)


if __name__ == "__main__":
    main()
