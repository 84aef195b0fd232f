"""Collecting the answers of an existing job as a Prefect task."""

from __future__ import annotations

import time
from contextlib import closing

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.credentials.prefect_blocks import register_block_resolvers
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations import closed_jobs
from labelflow.operations import collect as operation
from labelflow.operations.collect import CollectionResult, skipped
from labelflow.redaction import redact_errors
from labelflow.storage.opening import open_output
from tasks.artifacts import show_summary
from tasks.events import best_effort, emit_job_completed, emit_job_stalled, emit_labels_written

register_block_resolvers()


@task(task_run_name="collect-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def collect_job(job: Job, stop: StopToken | None = None) -> CollectionResult:
    """Collect what finished since the last pass, and report it. A complete job that has not changed is skipped."""
    folder, started_at = open_output(job.output), time.monotonic()
    closed = closed_jobs.read_closed(folder)
    if closed and closed_jobs.is_current(closed, folder):
        get_run_logger().info("%s: complete since %s", job.name, f"{closed.closed_at:%Y-%m-%d %H:%M} UTC")
        return skipped(job, folder)
    with closing(open_existing_job(job, stop)) as existing:
        result = operation.collect_job(existing)
    rate = (result.labeled + result.errors) / max(time.monotonic() - started_at, 1e-3)
    message = "%s: %d new labels, %d tasks ended without a label (%.0f tasks/s), %d tasks pending"
    get_run_logger().info(message, result.job, result.labeled, result.errors, rate, result.waiting)
    for warning in result.warnings:
        get_run_logger().warning("%s", warning)
    if result.labeled or result.errors:
        emit_labels_written(job, folder, result.labeled, result.errors, result.waiting)
        if result.summary:
            show_summary(folder, result.summary)
    if result.stalled_for:
        emit_job_stalled(job, folder, result.stalled_for, result.waiting)
    with best_effort():
        closed_jobs.record_pass(
            folder, result.summary, result.state_digest, emit_job_completed, was_closed=closed is not None
        )
    return result
