"""A visit to a job that was begun: what has come back is taken over, the summary written anew. No manifest is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labelflow.accounting.manifest_totals import read_totals
from labelflow.accounting.summary import Summary
from labelflow.accounting.tally import count_pending, summarize
from labelflow.collection.collector import Collector
from labelflow.errors import RunAborted
from labelflow.jobs.job import Job
from labelflow.ledger.context import ConnectedJob
from labelflow.operations import completion
from labelflow.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """What a visit found. Numbers of tasks; `pending` have not come back yet.

    summary: None where a labeling run is under way, or broke off before it had gone through the manifest; and for a
    closed job, which was left alone.
    mark: what was there before; see `labelflow.operations.collect`. Empty for a closed job.
    """

    job: str
    output: str
    labeled: int  # new ones
    errors: int  # new ones, canceled tasks among them
    waiting: int
    summary: Summary | None
    state_digest: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every row has ended."""
        return self.summary is not None and self.summary.pending == 0

    @property
    def was_skipped(self) -> bool:
        """Whether it was left alone, for every row had ended before."""
        return not self.state_digest


class CollectionFailed(RunAborted):
    """Some jobs could not be looked after; the others were."""

    def __init__(self, visited: Sequence[CollectionResult], failed: Mapping[str, str]) -> None:
        reasons = "".join(f"\n{name}: {reason}" for name, reason in failed.items())
        number = len(visited) + len(failed)
        super().__init__(f"{len(failed)} of {number} jobs could not be looked after:{reasons}")
        self.collected = visited
        self.failed = failed

    def __reduce__(self) -> tuple[type[CollectionFailed], tuple[Sequence[CollectionResult], Mapping[str, str]]]:
        return type(self), (self.collected, self.failed)


def collect_job(context: ConnectedJob) -> CollectionResult:
    """Take over what people have answered. Once nothing is waited for, the files are made large."""
    recorded = completion.ledger_digest(
        context.folder
    )  # before anything is read: what comes later is for the next visit
    collector = Collector(context)
    outcomes = collector.outcomes
    labeled, all_before = outcomes.labeled, len(outcomes)
    collector.collect()
    new, new_labels = len(outcomes) - all_before, outcomes.labeled - labeled
    left = count_pending(context.ledger, outcomes)
    if not left:
        collector.compact()
    mismatch = collector.find_count_mismatch()
    accounts = read_totals(context.folder, context.ledger)
    summary = summarize(context.job, accounts, context.ledger, outcomes) if accounts else None
    if summary:
        summary = replace(summary, unmatched_callbacks=collector.unmatched_callbacks)
        summary.write(context.folder)
        summary.check(mismatch)
    mark = completion.digest_state(recorded, collector.unmatched_callback_files)
    return CollectionResult(context.job.name, context.folder.uri, new_labels, new - new_labels, left, summary, mark)


def skipped(job: Job, folder: Folder) -> CollectionResult:
    """The visit that a closed job does not get."""
    return CollectionResult(job.name, folder.uri, 0, 0, 0, None)
