"""The counts of a job: every row of the manifest has exactly one outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from labelflow.errors import LabelflowError, TooManyUnlabeled
from labelflow.jobs.job import Job
from labelflow.storage.folder import Folder

FILE = "summary.json"


class CountMismatch(LabelflowError):
    """The outcomes do not add up to the rows of the manifest, or to those of the files: an internal error."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a job, as written to summary.json. Numbers of rows, except `cost` and `seconds`."""

    job: str
    rows: int
    labeled: int
    rejected: int
    error: int
    canceled: int
    pending: int
    not_submitted: int  # subset of pending: rows without a task
    beyond_limit: int  # subset of not_submitted: excluded by --limit
    outcome_unknown: int  # subset of not_submitted: no response says whether a task exists; the next run finds out
    changed: int  # rows that changed since their task was created, with any outcome
    removed: int  # rows with a task that are no longer in the manifest; not in the counts above
    unparsed: int  # labeled in this run, with a response that does not match the schema; see response_json
    unmatched_callbacks: int  # kept in the output folder because their tasks are not in the ledger
    created: int  # tasks created by this run
    recovered: int  # tasks that already existed and that this run recorded
    cost: float | None  # of all tasks but the canceled ones, in the unit of price_per_task; None without a price
    seconds: dict[str, float]  # duration of each stage of this run

    @property
    def unlabeled(self) -> int:
        """Rows that ended without a label."""
        return self.rejected + self.error + self.canceled

    def refuse_too_many_unlabeled(self, job: Job, wait: bool) -> None:
        """Raises TooManyUnlabeled if more rows remain without a label than the job's max_unlabeled.

        Rows beyond --limit do not count. wait: whether pending rows count.
        """
        pending = self.pending - self.beyond_limit if wait else 0
        allowed = job.allowed_unlabeled(self.rows)
        if self.outcome_unknown:
            raise TooManyUnlabeled(
                f"{self.outcome_unknown:,} rows were sent, but no response says whether their tasks were created; "
                "run the same command again to find out"
            )
        if self.unlabeled > allowed:
            raise TooManyUnlabeled(
                f"{self.unlabeled:,} of {self.rows:,} rows ended without a label, above max_unlabeled "
                f"({allowed:,}): see rejects/ and errors/"
            )
        if self.unlabeled + pending > allowed:
            raise TooManyUnlabeled(f"{pending:,} of {self.rows:,} rows have no label yet; run the same command again")

    def check(self, file_mismatch: str | None) -> None:
        """Raises CountMismatch if a row is missing or counted twice, in the counts or in the files.

        file_mismatch: how the files differ from the ledger; see `Collector.find_count_mismatch`.
        """
        total = self.labeled + self.unlabeled + self.pending
        if total != self.rows:
            raise CountMismatch(
                f"Internal error: {self.job}: the manifest has {self.rows} rows, but the outcomes add up to {total}; "
                "please report this"
            )
        if file_mismatch:
            raise CountMismatch(f"Internal error: {self.job}: {file_mismatch}; please report this")

    def write(self, folder: Folder) -> None:
        """Write summary.json."""
        folder.write(FILE, orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
