"""The steps of flows/label_dataset.py without Prefect, for tests that need many runs."""

from __future__ import annotations

from contextlib import closing

from labeling.job import Job
from labeling.plan import Plan
from labeling.run import Run
from labeling.summary import Summary


def label(job: Job, *, limit: int | None = None, wait: bool = True) -> Summary:
    """Submit, collect until all came back (or look once), account."""
    with closing(Run(Plan(job, limit=limit))) as run:
        for chunk in run.chunks():
            run.submit(chunk)
        run.finish_submission()
        run.collect()
        pauses = run.pauses()
        while wait and run.waiting and next(pauses, None) is not None:
            run.collect()
        return run.finish()
