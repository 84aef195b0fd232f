"""Collect: one pass over a job that has an output folder. No manifest is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from labelflow.accounting.manifest_totals import read_totals
from labelflow.accounting.summary import Summary
from labelflow.accounting.tally import count_pending, summarize
from labelflow.collection.collector import Collector
from labelflow.concurrency.lease import RUNS, read_abandoned
from labelflow.errors import LabelflowError, OtherMode, RunAborted, StopRequested
from labelflow.jobs.job import Job
from labelflow.ledger.context import ConnectedJob, check_account
from labelflow.operations import closed_jobs, stall
from labelflow.operations.discovery import DiscoveredJob
from labelflow.scale.errors import ScaleError
from labelflow.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """What a pass over one job has found: numbers of tasks.

    summary: None while a run submits rows, or if the last run did not scan the manifest to its end; and for a closed
    job, which is skipped.
    blocked_by: another process that was collecting, so that this pass could not; None if it could.
    interrupted: a run that ended without recording all its tasks; None without one.
    state_digest: of the state before the pass; see `labelflow.operations.closed_jobs`. Empty for a skipped job.
    """

    job: str
    output: str
    labeled: int  # new ones
    errors: int  # new ones, canceled tasks among them
    waiting: int
    stalled_for: timedelta | None  # since the last answer, if that is longer than collect.stalled_after
    summary: Summary | None
    blocked_by: str | None = None
    interrupted: str | None = None
    state_digest: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every row has ended."""
        return self.summary is not None and self.summary.pending == 0

    @property
    def warnings(self) -> list[str]:
        """What a user must know besides the numbers."""
        texts = []
        if self.blocked_by:
            texts.append(f"{self.job}: not collected, another process is collecting: {self.blocked_by}")
        if self.stalled_for:
            days = self.stalled_for / timedelta(days=1)
            texts.append(f"{self.job}: no answer for {days:.1f} days, {self.waiting:,} tasks pending: ask Scale")
        if self.interrupted:
            fix = "run label_dataset again, which finds them, or cancel_dataset"
            texts.append(
                f"{self.job}: a run was interrupted, and tasks of it may not be recorded: {fix} ({self.interrupted})"
            )
        return texts

    @property
    def was_skipped(self) -> bool:
        """Whether the job was closed, and nothing was read."""
        return not self.state_digest


class CollectionFailed(RunAborted):
    """Some jobs failed; the others were collected."""

    def __init__(self, collected: Sequence[CollectionResult], failed: Mapping[str, str]) -> None:
        reasons = "".join(f"\n{name}: {reason}" for name, reason in failed.items())
        number = len(collected) + len(failed)
        super().__init__(f"{len(failed)} of {number} jobs failed:{reasons}")
        self.collected = collected
        self.failed = failed

    def __reduce__(self) -> tuple[type[CollectionFailed], tuple[Sequence[CollectionResult], Mapping[str, str]]]:
        return type(self), (self.collected, self.failed)


def collect_job(context: ConnectedJob) -> CollectionResult:
    """Collect the finished answers of a job. Once nothing is pending, its files are compacted.

    Raises CountMismatch if the numbers do not add up; InvalidInput if the API does not have the job's tasks.
    """
    # Before anything is read: what is recorded later is left to the next pass.
    recorded = closed_jobs.ledger_digest(context.folder)
    collector = Collector(context)
    outcomes = collector.outcomes
    labeled_before, finished_before = outcomes.labeled, len(outcomes)
    collector.collect()
    finished, labeled = len(outcomes) - finished_before, outcomes.labeled - labeled_before
    pending = count_pending(context.ledger, outcomes)
    if pending and not finished:
        check_account(context)
    if not pending:
        collector.compact()
    mismatch = collector.find_count_mismatch()
    totals = read_totals(context.folder, context.ledger)
    summary = summarize(context.job, totals, context.ledger, outcomes) if totals else None
    if summary:
        summary = replace(summary, unmatched_callbacks=collector.unmatched_callbacks)
        summary.write(context.folder)
        summary.check(mismatch)
    interrupted = read_abandoned(context.folder, RUNS)
    return CollectionResult(
        job=context.job.name,
        output=context.folder.uri,
        labeled=labeled,
        errors=finished - labeled,
        waiting=pending,
        stalled_for=stall.check_stalled(context, pending, len(outcomes)),
        summary=summary,
        blocked_by=collector.blocked_by,
        interrupted=str(interrupted[0]) if interrupted else None,
        state_digest=closed_jobs.digest_state(recorded, collector.unmatched_callback_files),
    )


def collect_each(
    discovered: Iterable[DiscoveredJob],
    collect: Callable[[Job], CollectionResult],
    report: Callable[[str, Exception], None],
) -> list[CollectionResult]:
    """Collect jobs one after another. A job that fails does not block the others; jobs of the other mode are skipped.

    report: called with the name of a job and the reason why it was not collected.
    Raises CollectionFailed at the end if a job failed, or if all are of the other mode; StopRequested at once.
    """
    results: list[CollectionResult] = []
    failed: dict[str, str] = {}
    other_mode: dict[str, str] = {}
    for job in discovered:
        try:
            results.append(collect(job.require_job()))
        except StopRequested:
            raise
        except Exception as error:
            report(job.name, error)
            if isinstance(error, OtherMode):  # a folder may hold test and live jobs
                other_mode[job.name] = str(error)
            else:
                is_expected = isinstance(error, LabelflowError | ScaleError)
                failed[job.name] = str(error) if is_expected else f"internal error: {error!r}"
    if not results:
        failed |= other_mode
    if failed:
        raise CollectionFailed(results, failed)
    return results


def skipped(job: Job, folder: Folder) -> CollectionResult:
    """The result for a closed job: nothing is read."""
    return CollectionResult(job.name, folder.uri, 0, 0, 0, None, None)
