"""Count the rows of a job by outcome, from the ledger and the outcome index."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from labelflow.accounting.manifest_totals import ManifestTotals
from labelflow.accounting.summary import Summary
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.records import Outcome


def count_pending(ledger: Ledger, outcomes: OutcomeIndex) -> int:
    """Return the number of pending tasks, without superseded ones."""
    return _tally(ledger, outcomes, (len(ledger), ledger.tasks, outcomes.changes))[Outcome.PENDING]


@lru_cache(maxsize=1)  # scans all tasks, and is called repeatedly while nothing changes
def _tally(ledger: Ledger, outcomes: OutcomeIndex, _state: tuple[int, int, int]) -> Counter[Outcome]:
    tally: Counter[Outcome] = Counter()
    for _, task_ids in ledger.rows():
        tally.update(outcomes.tally(task_ids))
    return tally


def count_answers(ledger: Ledger, outcomes: OutcomeIndex) -> dict[str, int]:
    """Return how many rows of the ledger have an answer in labels/ and in errors/.

    Unlike in a summary, rows that were removed from the manifest are included.
    """
    tally = _tally(ledger, outcomes, (len(ledger), ledger.tasks, outcomes.changes))
    return {LABELS: tally[Outcome.LABELED], ERRORS: tally[Outcome.ERROR] + tally[Outcome.CANCELED]}


def summarize(job: Job, totals: ManifestTotals, ledger: Ledger, outcomes: OutcomeIndex) -> Summary:
    """Return the counts of a job, in rows. `cost` has the unit of `price_per_task`. The caller sets `created` etc."""
    removed = set(totals.removed_rows)
    tally = Counter(_tally(ledger, outcomes, (len(ledger), ledger.tasks, outcomes.changes)))
    paid = ledger.tasks - tally[Outcome.CANCELED]
    if removed:
        tally.subtract(outcomes.tally([ledger.latest_task_id(row_id) for row_id in removed]))
    price = job.submit.price_per_task
    return Summary(
        job=job.name,
        rows=totals.rows,
        labeled=tally[Outcome.LABELED],
        rejected=totals.rejected,
        error=tally[Outcome.ERROR],
        canceled=tally[Outcome.CANCELED],
        pending=tally[Outcome.PENDING] + totals.not_submitted,
        not_submitted=totals.not_submitted,
        beyond_limit=totals.beyond_limit,
        outcome_unknown=totals.outcome_unknown,
        changed=totals.changed,
        removed=len(removed),
        unparsed=0,
        unmatched_callbacks=0,
        created=0,
        recovered=0,
        cost=None if price is None else round(paid * price, 2),
        seconds={},
    )
