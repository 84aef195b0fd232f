"""The accounts of a job: where each row of its manifest stands, in numbers that add up.

What only a walk through the manifest can tell is written down when the walk is done (`_ledger/manifest.json`); the rest
is counted from the ledger and from what has come back. So a later look at the job needs no manifest.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from pydantic import BaseModel, ValidationError

from labelflow.accounting.summary import Summary
from labelflow.errors import Interrupted
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.outputs.outcomes import Outcomes
from labelflow.planning.plan import Plan
from labelflow.records import Outcome
from labelflow.storage.folder import Folder

FILE = "_ledger/manifest.json"


class ManifestAccounts(BaseModel):
    """What the last walk through the manifest found. Numbers of rows; `gone` names those that have a task and are
    no longer in the manifest; `recorded` is how many rows had a task then."""

    rows: int
    rejected: int
    held_back: int
    beyond_limit: int
    unsettled: int
    changed: int
    gone: list[str]
    recorded: int

    @classmethod
    def of(cls, plan: Plan, gone: list[str]) -> ManifestAccounts:
        """What the walk of a plan has found so far."""
        return cls(
            rows=plan.counts.read,
            rejected=len(plan.rejected),
            held_back=len(plan.held_back),
            beyond_limit=len(plan.beyond_limit),
            unsettled=len(plan.unsettled),
            changed=plan.counts.changed,
            gone=gone,
            recorded=len(plan.ledger),
        )

    @property
    def not_submitted(self) -> int:
        """Rows that are good as far as is known, and have no task yet."""
        return self.held_back + self.beyond_limit + self.unsettled

    def write(self, folder: Folder) -> None:
        """Write them down."""
        folder.write(FILE, self.model_dump_json().encode())


def read_accounts(folder: Folder, ledger: Ledger) -> ManifestAccounts | None:
    """What was written down; None where rows have been submitted since, and the walk was not finished."""
    content = folder.read(FILE)
    if content is None:
        return None
    try:
        accounts = ManifestAccounts.model_validate_json(content)
    except ValidationError:
        raise Interrupted(f"{folder.uri}/{FILE} is damaged; run label_dataset to have it written anew") from None
    return accounts if accounts.recorded == len(ledger) else None


def waiting(ledger: Ledger, outcomes: Outcomes) -> int:
    """How many tasks have not come back yet, superseded ones left out."""
    return _tally(ledger, outcomes, (len(ledger), ledger.tasks, outcomes.changes))[Outcome.PENDING]


@lru_cache(maxsize=1)  # it goes through all tasks, and is asked for again and again while nothing changes
def _tally(ledger: Ledger, outcomes: Outcomes, _state: tuple[int, int, int]) -> Counter[Outcome]:
    tally: Counter[Outcome] = Counter()
    for _, task_ids in ledger.rows():
        tally.update(outcomes.tally(task_ids))
    return tally


def summarize(job: Job, accounts: ManifestAccounts, ledger: Ledger, outcomes: Outcomes) -> Summary:
    """How a job stands. What one run did, such as the tasks that it created, is for the caller to fill in."""
    gone = set(accounts.gone)
    tally = Counter(_tally(ledger, outcomes, (len(ledger), ledger.tasks, outcomes.changes)))
    if gone:
        tally.subtract(outcomes.tally([ledger.task_of(row_id) for row_id in gone]))
    price = job.submit.price_per_task
    return Summary(
        job=job.name,
        rows=accounts.rows,
        labeled=tally[Outcome.LABELED],
        rejected=accounts.rejected,
        error=tally[Outcome.ERROR],
        canceled=tally[Outcome.CANCELED],
        pending=tally[Outcome.PENDING] + accounts.not_submitted,
        not_submitted=accounts.not_submitted,
        beyond_limit=accounts.beyond_limit,
        unsettled=accounts.unsettled,
        changed=accounts.changed,
        gone=len(gone),
        unexpected=0,
        unknown_callbacks=0,
        created=0,
        adopted=0,
        cost=None if price is None else round(ledger.tasks * price, 2),
        seconds={},
    )
