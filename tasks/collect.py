"""Looking after jobs that were begun, as Prefect tasks: collecting and canceling."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.concurrency.stop_token import Stop
from labelflow.jobs.job import Job
from labelflow.jobs.prefect_blocks import offer_blocks
from labelflow.operations import completion
from labelflow.operations.cancel import Cancellation, cancel
from labelflow.operations.collect import Visited, left_alone, visit
from labelflow.operations.existing_job import BegunJob
from labelflow.redaction import clean_errors
from labelflow.storage.folder import open_output
from tasks.artifacts import report_visit

offer_blocks()


@task(task_run_name="visit-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@clean_errors
def visit_job(job: Job, stop: Stop | None = None) -> Visited:
    """Take over what people have answered since the last look, and tell of it. A closed job is left alone."""
    folder, begun_at = open_output(job.output), time.monotonic()
    before = completion.read_closed(folder)
    if before and before.rests(completion.mark_now(folder), datetime.now(UTC)):
        get_run_logger().info("%s: closed since %s", job.name, f"{before.closed_at:%Y-%m-%d %H:%M} UTC")
        return left_alone(job, folder)
    with closing(BegunJob(job, stop)) as begun:
        visited = visit(begun)
    rate = (visited.labeled + visited.errors) / max(time.monotonic() - begun_at, 1e-3)
    message = "%s: %d new labels, %d tasks without one, at %.0f/s; %d wait"
    get_run_logger().info(message, visited.job, visited.labeled, visited.errors, rate, visited.waiting)
    report_visit(job, folder, visited)
    if before and not visited.is_through:
        completion.reopen(folder)
    return visited


@task(task_run_name="cancel-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@clean_errors
def cancel_pending(job: Job, row_ids: Collection[str] | None = None, stop: Stop | None = None) -> Cancellation:
    """Take back what people have not done yet."""
    with closing(BegunJob(job, stop)) as begun:
        result = cancel(begun, row_ids)
    message = "%s: %d tasks canceled, %d were too late, %d had come back before"
    get_run_logger().info(message, job.name, result.canceled, len(result.too_late), result.came_back)
    return result
