"""A labeling run without Prefect, as a process that can be killed: the steps of flows/label_dataset.py.

python -m tests.proofs.chaos.run_process CONFIG [--crash POINT:N] [--clock SECONDS] [--memory MB] [--collect]
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from labelflow.collection import collector
from labelflow.concurrency import lease_record
from labelflow.errors import LabelflowError
from labelflow.jobs.config import load_job
from labelflow.ledger.context import open_existing_job
from labelflow.operations.collect import collect_job
from labelflow.operations.label import LabelRun
from labelflow.planning import chunk
from labelflow.planning.plan import Plan
from labelflow.records import SubmissionReport
from labelflow.scale.errors import ScaleError
from labelflow.submission import reconciliation
from tests.proofs.chaos import crash_points

CHUNK_ROWS, MAX_CHUNKS_IN_FLIGHT = 25, 3  # small chunks: more points at which a run can be killed
LEASE_TIME_DIVISOR = 10  # a namespace or a host that is gone is noticed after seconds, not after a minute
LATE_WRITE_SECONDS = 0.3
LISTING_LAG = 1.0  # seconds; the lag of the sandbox is half a second
WORKING = "at work"  # printed when the run has started its work


def main() -> None:
    """Run the job to its end or to its crash point. Exit status 1 if it cannot be completed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--crash", default="", metavar="POINT:N")
    parser.add_argument("--clock", type=int, default=0, metavar="SECONDS", help="how far this machine's clock is ahead")
    parser.add_argument(
        "--memory",
        type=int,
        default=0,
        metavar="MB",
        help="limit of the memory, beyond what the process has at its start",
    )
    parser.add_argument("--collect", action="store_true", help="one pass of a collector, instead of a labeling run")
    options = parser.parse_args()
    chunk.CHUNK_ROWS = CHUNK_ROWS
    for name in ("HEARTBEAT_INTERVAL", "HEARTBEAT_TIMEOUT", "IN_FLIGHT_GRACE"):
        setattr(lease_record, name, getattr(lease_record, name) / LEASE_TIME_DIVISOR)
    reconciliation.LISTING_LAG, collector.LATE_WRITE_GRACE = LISTING_LAG, LATE_WRITE_SECONDS
    if options.crash:
        point, _, nth = options.crash.partition(":")
        crash_points.arm(point, int(nth))
    if options.memory:
        _limit_memory(options.memory << 20)
    if options.clock:
        time_machine.travel(datetime.now(UTC) + timedelta(seconds=options.clock)).start()
    try:
        incomplete = collect(options.config) if options.collect else label(options.config)
    except LabelflowError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except ScaleError as error:
        print(f"Scale API: {error.message}", file=sys.stderr)
        sys.exit(1)
    sys.exit(1 if incomplete else 0)


def _limit_memory(more_bytes: int) -> None:
    """Let this process use this much more memory than now; beyond it, Python raises MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])  # data and stacks
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def collect(config: str) -> bool:
    """Run one pass of a collector beside the labeling runs; it never completes a job here."""
    with closing(open_existing_job(load_job(config))) as context:
        print(WORKING, flush=True)
        collect_job(context)
    return True


def label(config: str) -> bool:
    """Submit, collect until all tasks are finished, write the summary. Returns whether the next run has work to do."""
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
        return bool(run.finish().outcome_unknown)


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
