"""The steps of flows/label_dataset.py without Prefect, for tests that need many runs."""

from __future__ import annotations

from contextlib import closing

from labelflow.accounting.summary import Summary
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from labelflow.planning.relabeling import RelabelMode


def label(
    job: Job,
    *,
    limit: int | None = None,
    wait: bool = True,
    relabel: RelabelMode | None = None,
    rows: str | None = None,
) -> Summary:
    """Submit, collect until all tasks are finished (once, if not `wait`), and write the summary."""
    with closing(LabelRun(Plan(job, limit=limit, relabel=relabel, rows=rows))) as run:
        for chunk in run.plan.chunks():
            run.dispatcher.submit(chunk)
        run.finish_submission()
        if not wait:
            run.collect()
            return run.finish()
        run.wait_and_collect()
        intervals = run.intervals()
        while run.pending and next(intervals, None) is not None:
            run.wait_and_collect()
        return run.finish()
