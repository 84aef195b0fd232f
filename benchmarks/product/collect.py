"""A visit to a job whose tasks have been answered: pages of tasks in, finished labels/ out.

    python -m benchmarks.product.collect CONFIG --output FOLDER

It is what flows/collect_responses.py does with a job, without Prefect. `seconds` is all of it: the ledger is
opened, the answers are fetched and written, and the files are made large.
"""

from __future__ import annotations

import time
from contextlib import closing

from benchmarks.process_metrics import tell
from benchmarks.product.arguments import given_job
from labelflow.cli import garbage
from labelflow.operations.collect import visit
from labelflow.operations.existing_job import BegunJob


def main() -> None:
    """Visit, and tell."""
    job = given_job(__doc__)
    garbage.look_seldom()
    begun = time.monotonic()
    with closing(BegunJob(job)) as opened:
        visited = visit(opened)
    tell(visited.labeled, time.monotonic() - begun)


if __name__ == "__main__":
    main()
