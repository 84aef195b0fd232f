"""How many tasks a run may create, for the question before money is spent."""

from __future__ import annotations

from itertools import islice

from labelflow.planning.plan import Plan
from labelflow.planning.urls.restored_signatures import open_job_manifest


def count_new_tasks(plan: Plan, limit: int | None) -> int:
    """Return the maximum number of tasks that a run can create. Reads the manifest once, and checks no row.

    limit: as of the plan. Rows that are invalid, or were removed from the manifest, make the actual number smaller.
    """
    rows = sum(1 for _ in islice(open_job_manifest(plan.context.job).rows, limit))
    tasks = rows if plan.relabel else max(0, rows - len(plan.context.ledger))
    remaining = plan.remaining_tasks()
    return tasks if remaining is None else min(tasks, remaining)
