"""A labeling run without Prefect, as a process that can be killed: the steps of flows/label_dataset.py.

python -m tests.proofs.chaos.run_process CONFIG [--die WHERE:N]
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from labelflow.accounting.summary import Summary
from labelflow.collection import collector
from labelflow.concurrency import lease_record
from labelflow.errors import LabelflowError
from labelflow.jobs.config import load_job
from labelflow.operations.label import LabelRun
from labelflow.planning import chunk
from labelflow.planning.plan import Plan
from labelflow.records import ChunkReport
from labelflow.scale.errors import ScaleError
from labelflow.submission import reconciliation
from tests.proofs.chaos import crash_points

CHUNK_ROWS, MAX_CHUNKS_IN_FLIGHT, HEARTBEAT_INTERVAL = 25, 3, 0.3
LATE_WRITE_SECONDS = 0.3
LISTING_LAG = 1.0  # the list of the sandbox lags half a second
WORKING = "at work"  # printed when the start is over


def main() -> None:
    """Run the job to its end, or into its death. Exit status 1 where it could not go on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--die", default="")
    options = parser.parse_args()
    chunk.CHUNK_ROWS, lease_record.HEARTBEAT_INTERVAL = (
        CHUNK_ROWS,
        HEARTBEAT_INTERVAL,
    )  # many parts, and many moments between them
    reconciliation.LISTING_LAG, collector.LATE_WRITE_GRACE = LISTING_LAG, LATE_WRITE_SECONDS
    if options.die:
        where, _, times = options.die.partition(":")
        crash_points.arm(where, int(times))
    try:
        summary = label(options.config)
    except LabelflowError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except ScaleError as error:
        print(f"The Scale API: {error.message}", file=sys.stderr)
        sys.exit(1)
    if summary.outcome_unknown:  # as the command has it: the next run finds out
        sys.exit(1)


def label(config: str) -> Summary:
    """Submit, wait, account."""
    plan_of_job = Plan(load_job(config))
    print(WORKING, flush=True)
    with closing(LabelRun(plan_of_job)) as run:
        with ThreadPoolExecutor(MAX_CHUNKS_IN_FLIGHT) as threads:
            submit_all(run, threads)
        run.finish_submission()
        run.wait_and_collect()
        pauses = run.intervals()
        while run.pending and next(pauses, None) is not None:
            run.wait_and_collect()
        return run.finish()


def submit_all(run: LabelRun, threads: ThreadPoolExecutor) -> None:
    """A few chunks at once, as the flow does it."""
    window: deque[Future[ChunkReport]] = deque()
    try:
        for chunk in run.chunks():
            window.append(threads.submit(run.submit, chunk))
            if len(window) > MAX_CHUNKS_IN_FLIGHT:
                window.popleft().result()
        while window:
            window.popleft().result()
    except BaseException:
        run.stop()
        raise


if __name__ == "__main__":
    main()
