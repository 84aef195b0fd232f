"""The steps of flows/label_dataset.py without Prefect, for tests that need many runs."""

from __future__ import annotations

from contextlib import closing

from labeling.job import Job
from labeling.plan import Plan
from labeling.revisiting import Relabel
from labeling.run import Run
from labeling.summary import Summary


def label(job: Job, *, limit: int | None = None, wait: bool = True, relabel: Relabel | None = None) -> Summary:
    """Submit, collect until all came back (or look once), account."""
    with closing(Run(Plan(job, limit=limit, relabel=relabel))) as run:
        for chunk in run.chunks():
            run.submit(chunk)
        run.finish_submission()
        if not wait:
            run.collect()
            return run.finish()
        run.wait_and_collect()
        pauses = run.pauses()
        while run.waiting and next(pauses, None) is not None:
            run.wait_and_collect()
        return run.finish()
