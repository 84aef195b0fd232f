"""Canceling as a Prefect task."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations.cancel import Cancellation, cancel
from labelflow.redaction import redact_errors


@task(task_run_name="cancel-{job.name}", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def cancel_pending(job: Job, row_ids: Collection[str] | None = None, stop: StopToken | None = None) -> Cancellation:
    """Cancel the pending tasks of a job: all of them, or those of some rows."""
    with closing(open_existing_job(job, stop)) as existing:
        result = cancel(existing, row_ids)
    message = "%s: %d tasks canceled, %d finished in the meantime, %d had already finished"
    get_run_logger().info(message, job.name, result.canceled, len(result.too_late), result.already_finished)
    return result
