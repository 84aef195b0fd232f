"""A labeling run without Prefect, as a process that can be killed: the steps of flows/label_dataset.py.

python -m tests.proofs.chaos.run_process CONFIG [--crash POINT:N]
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
from labelflow.records import SubmissionReport
from labelflow.scale.errors import ScaleError
from labelflow.submission import reconciliation
from tests.proofs.chaos import crash_points

CHUNK_ROWS, MAX_CHUNKS_IN_FLIGHT, HEARTBEAT_INTERVAL = 25, 3, 0.3
LATE_WRITE_SECONDS = 0.3
LISTING_LAG = 1.0  # seconds; the lag of the sandbox is half a second
WORKING = "at work"  # printed when the run has started its work


def main() -> None:
    """Run the job to its end or to its crash point. Exit status 1 if it cannot be completed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--crash", default="", metavar="POINT:N")
    options = parser.parse_args()
    chunk.CHUNK_ROWS, lease_record.HEARTBEAT_INTERVAL = (
        CHUNK_ROWS,
        HEARTBEAT_INTERVAL,
    )  # small chunks: more points at which a run can be killed
    reconciliation.LISTING_LAG, collector.LATE_WRITE_GRACE = LISTING_LAG, LATE_WRITE_SECONDS
    if options.crash:
        point, _, nth = options.crash.partition(":")
        crash_points.arm(point, int(nth))
    try:
        summary = label(options.config)
    except LabelflowError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except ScaleError as error:
        print(f"Scale API: {error.message}", file=sys.stderr)
        sys.exit(1)
    if summary.outcome_unknown:  # as the command does: the next run resolves it
        sys.exit(1)


def label(config: str) -> Summary:
    """Submit, collect until all tasks are finished, and write the summary."""
    plan = Plan(load_job(config))
    print(WORKING, flush=True)
    with closing(LabelRun(plan)) as run:
        with ThreadPoolExecutor(MAX_CHUNKS_IN_FLIGHT) as threads:
            submit_all(run, threads)
        run.finish_submission()
        run.wait_and_collect()
        intervals = run.intervals()
        while run.pending and next(intervals, None) is not None:
            run.wait_and_collect()
        return run.finish()


def submit_all(run: LabelRun, threads: ThreadPoolExecutor) -> None:
    """Submit a few chunks at the same time, as the flow does."""
    window: deque[Future[SubmissionReport]] = deque()
    try:
        for chunk in run.plan.chunks():
            window.append(threads.submit(run.dispatcher.submit, chunk))
            if len(window) > MAX_CHUNKS_IN_FLIGHT:
                window.popleft().result()
        while window:
            window.popleft().result()
    except BaseException:
        run.stop()
        raise


if __name__ == "__main__":
    main()
