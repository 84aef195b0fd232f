"""Looking after jobs that were begun, as Prefect tasks: collecting and canceling."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import Job
from labelflow.jobs.prefect_blocks import register_block_resolvers
from labelflow.ledger.context import open_existing_job
from labelflow.operations import collect as operation
from labelflow.operations import completion
from labelflow.operations.collect import CollectionResult, skipped
from labelflow.redaction import redact_errors
from labelflow.storage.opening import open_output
from tasks.artifacts import report_collection

register_block_resolvers()


@task(task_run_name="visit-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def collect_job(job: Job, stop: StopToken | None = None) -> CollectionResult:
    """Take over what people have answered since the last look, and tell of it. A closed job is left alone."""
    folder, begun_at = open_output(job.output), time.monotonic()
    before = completion.read_closed(folder)
    if before and before.is_unchanged(completion.current_state_digest(folder), datetime.now(UTC)):
        get_run_logger().info("%s: closed since %s", job.name, f"{before.closed_at:%Y-%m-%d %H:%M} UTC")
        return skipped(job, folder)
    with closing(open_existing_job(job, stop)) as begun:
        visited = operation.collect_job(begun)
    rate = (visited.labeled + visited.errors) / max(time.monotonic() - begun_at, 1e-3)
    message = "%s: %d new labels, %d tasks without one, at %.0f/s; %d wait"
    get_run_logger().info(message, visited.job, visited.labeled, visited.errors, rate, visited.waiting)
    report_collection(job, folder, visited)
    if before and not visited.is_complete:
        completion.reopen(folder)
    return visited
