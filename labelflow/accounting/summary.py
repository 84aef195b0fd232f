"""The numbers of a job: every row of the manifest in exactly one outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from labelflow.errors import LabelflowError, LimitExceeded
from labelflow.jobs.job import Job
from labelflow.storage.folder import Folder

FILE = "summary.json"


class CountMismatch(LabelflowError):
    """The outcomes do not add up to the manifest: a mistake of ours, which must not pass in silence."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a job stands. Numbers of rows, but for `cost` (in the unit of price_per_task) and `seconds`."""

    job: str
    rows: int
    labeled: int
    rejected: int
    error: int
    canceled: int
    pending: int
    not_submitted: int  # of the pending: rows that have no task yet
    beyond_limit: int  # of those: kept out by --limit
    outcome_unknown: int  # of those: sent, and no answer said whether a task was made; the next run finds out
    changed: int  # rows that ask something else than what their task was made from; left alone, whatever their outcome
    removed: int  # tasks whose row is no longer in the manifest; in none of the numbers above
    unparsed: int  # labeled in this run: answers of another shape than promised, kept in response_json only
    unmatched_callbacks: int  # kept in the output folder, for the ledger does not know their tasks
    created: int  # tasks that this run created
    recovered: int  # tasks that this run found made already, and recorded
    cost: float | None  # of all the job's tasks, None where no price is known
    seconds: dict[str, float]  # where this run's time went

    @property
    def unlabeled(self) -> int:
        """Rows that ended without a label."""
        return self.rejected + self.error + self.canceled

    def refuse_too_many_unlabeled(self, job: Job, wait: bool) -> None:
        """Raises LimitExceeded where more rows stay without a label than the job allows.

        Those beyond --limit may; without waiting, also those whose answer, or whose turn under the cap, is to come.
        """
        pending = self.pending - self.beyond_limit if wait else 0
        allowed = job.allowed_unlabeled(self.rows)
        if self.outcome_unknown:
            raise LimitExceeded(
                f"{self.outcome_unknown:,} rows were sent, and no answer says whether they have a task: run again"
            )
        if self.unlabeled > allowed:
            raise LimitExceeded(
                f"{self.unlabeled:,} of {self.rows:,} rows ended without a label, above max_unlabeled "
                f"({allowed:,}): see rejects/ and errors/"
            )
        if self.unlabeled + pending > allowed:
            raise LimitExceeded(f"{pending:,} of {self.rows:,} rows are still without a label: run again to go on")

    def check(self) -> None:
        """Raises CountMismatch where a row is lost, or counted twice."""
        found = self.labeled + self.unlabeled + self.pending
        if found != self.rows:
            raise CountMismatch(
                f"{self.job}: the manifest has {self.rows} rows, the outcomes add up to {found}; please report this"
            )

    def write(self, folder: Folder) -> None:
        """Write summary.json."""
        folder.write(FILE, orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
