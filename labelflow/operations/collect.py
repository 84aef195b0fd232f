"""A visit to a job that was begun: what has come back is taken over, the summary written anew. No manifest is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labelflow.accounting.manifest_totals import read_accounts, summarize, waiting
from labelflow.accounting.summary import Summary
from labelflow.collection.collector import Collector
from labelflow.errors import Interrupted
from labelflow.jobs.job import Job
from labelflow.operations import completion
from labelflow.operations.existing_job import BegunJob
from labelflow.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit found. Numbers of tasks; `waiting` have not come back yet.

    summary: None where a labeling run is under way, or broke off before it had gone through the manifest; and for a
    closed job, which was left alone.
    mark: what was there before; see `labelflow.operations.completion`. Empty for a closed job.
    """

    job: str
    output: str
    labeled: int  # new ones
    errors: int  # new ones, canceled tasks among them
    waiting: int
    summary: Summary | None
    mark: str = ""

    @property
    def is_through(self) -> bool:
        """Whether every row has ended."""
        return self.summary is not None and self.summary.pending == 0

    @property
    def was_closed(self) -> bool:
        """Whether it was left alone, for every row had ended before."""
        return not self.mark


class NotAllVisited(Interrupted):
    """Some jobs could not be looked after; the others were."""

    def __init__(self, visited: Sequence[Visited], failed: Mapping[str, str]) -> None:
        reasons = "".join(f"\n{name}: {reason}" for name, reason in failed.items())
        number = len(visited) + len(failed)
        super().__init__(f"{len(failed)} of {number} jobs could not be looked after:{reasons}")
        self.visited = visited
        self.failed = failed

    def __reduce__(self) -> tuple[type[NotAllVisited], tuple[Sequence[Visited], Mapping[str, str]]]:
        return type(self), (self.visited, self.failed)


def visit(begun: BegunJob) -> Visited:
    """Take over what people have answered. Once nothing is waited for, the files are made large."""
    recorded = completion.recorded(begun.folder)  # before anything is read: what comes later is for the next visit
    collector = Collector(begun.job, begun.client, begun.ledger, begun.folder, begun.source_type, begun.stop)
    outcomes = collector.outcomes
    labeled, all_before = outcomes.labeled, len(outcomes)
    collector.collect()
    new, new_labels = len(outcomes) - all_before, outcomes.labeled - labeled
    left = waiting(begun.ledger, outcomes)
    if not left:
        collector.make_files_large()
    accounts = read_accounts(begun.folder, begun.ledger)
    summary = summarize(begun.job, accounts, begun.ledger, outcomes) if accounts else None
    if summary:
        summary = replace(summary, unknown_callbacks=collector.unknown_callbacks)
        summary.write(begun.folder)
        summary.check()
    mark = completion.mark(recorded, collector.left_callbacks)
    return Visited(begun.job.name, begun.folder.uri, new_labels, new - new_labels, left, summary, mark)


def left_alone(job: Job, folder: Folder) -> Visited:
    """The visit that a closed job does not get."""
    return Visited(job.name, folder.uri, 0, 0, 0, None)
