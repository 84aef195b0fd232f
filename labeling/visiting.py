"""A visit to a job that was begun: what has come back is taken over, the summary written anew. No manifest is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from labeling.accounts import read_accounts, summarize, waiting
from labeling.begun import BegunJob
from labeling.collecting import Collector
from labeling.summary import Summary


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit found. Numbers of tasks; `waiting` have not come back yet.

    summary: None where a labeling run is under way, or broke off before it had gone through the manifest.
    """

    job: str
    output: str
    labeled: int  # new ones
    errors: int  # new ones, canceled tasks among them
    waiting: int
    summary: Summary | None

    @property
    def is_through(self) -> bool:
        """Whether every row has ended."""
        return self.summary is not None and self.summary.pending == 0


def visit(begun: BegunJob) -> Visited:
    """Take over what people have answered. Once nothing is waited for, the files are made large."""
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
    return Visited(begun.job.name, begun.folder.uri, new_labels, new - new_labels, left, summary)
