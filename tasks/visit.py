"""Looking after jobs that were begun, as Prefect tasks: collecting and canceling."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labeling.begun import BegunJob
from labeling.canceling import Cancellation, cancel
from labeling.job import Job
from labeling.redaction import clean_errors
from labeling.stopping import Stop
from labeling.visiting import Visited, visit
from tasks.reporting import report_visit


@task(task_run_name="visit-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@clean_errors()
def visit_job(job: Job, stop: Stop | None = None) -> Visited:
    """Take over what people have answered since the last look, and tell of it."""
    with closing(BegunJob(job, stop)) as begun:
        visited = visit(begun)
        message = "%s: %d new labels, %d tasks without one, %d wait"
        get_run_logger().info(message, visited.job, visited.labeled, visited.errors, visited.waiting)
        report_visit(job, begun.folder, visited)
        return visited


@task(task_run_name="cancel-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@clean_errors()
def cancel_pending(job: Job, row_ids: Collection[str] | None = None, stop: Stop | None = None) -> Cancellation:
    """Take back what people have not done yet."""
    with closing(BegunJob(job, stop)) as begun:
        result = cancel(begun, row_ids)
    message = "%s: %d tasks canceled, %d were too late, %d had come back before"
    get_run_logger().info(message, job.name, result.canceled, len(result.too_late), result.came_back)
    return result
