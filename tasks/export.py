"""Exporting labels as a Prefect task."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.jobs.job import Job
from labelflow.operations.export import Export, export_labels
from labelflow.redaction import redact_errors


@task(task_run_name="export-{job.name}-{to}", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def write_export(
    job: Job,
    to: str,
    dest: str,
    *,
    split: str | None = None,
    group_by: str | None = None,
    classes: Sequence[str] | None = None,
) -> Export:
    """Write the labels of a job in another format; see `labelflow.operations.export.export_labels`."""
    result = export_labels(job, to, dest, split=split, group_by=group_by, classes=classes)
    rows = sum(counts.rows for counts in result.counts.values())
    get_run_logger().info("%s: %d labels as %s in %s", job.name, rows, to, result.dest)
    return result
