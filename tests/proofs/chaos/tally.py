"""What was done to the runs of one combination, and what became of the rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ChaosReport:
    """Counts of one combination of dialect and store."""

    api_version: str
    store: str
    seed: int
    kills: Counter[str] = field(default_factory=Counter)  # by where it hit
    command_kills: int = 0
    command_kills_at_work: int = 0  # of runs that had created a task
    outages: Counter[str] = field(default_factory=Counter)
    overlaps: int = 0  # two runs of a job at once
    refused: int = 0  # of those, runs that were refused by the lease of the other
    exited_early: int = 0  # runs that ended by themselves with status 1, for an outage or a fault
    faults: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    rows: int = 0
    capped: int = 0  # jobs that came to an end under a cap, before they went on without it
    over_cap: int = 0  # tasks that they had more than their caps allowed
    changed: int = 0  # of these, rows that became others while their task was in no ledger
    created: int = 0  # tasks that the sandbox has
    duplicates: int = 0  # rows that have more than one of them
    lost: int = 0  # rows that are in none of the outcomes, or in several
    unreadable: int = 0
    duplicate_reads: int = 0  # rows that a reader saw twice
    reads: int = 0  # of readers
    empty_reads: int = 0  # besides these, at a folder without files
    leftovers: int = 0  # temporary files of killed runs, which no reader sees
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (
            self.duplicates or self.over_cap or self.lost or self.unreadable or self.duplicate_reads or self.violations
        )

    def to_lines(self) -> list[str]:
        """The counts, for people."""
        listed = {
            "kills": f"{self.kills.total():,} ({format_counts(self.kills)})",
            "of the whole command": f"{self.command_kills:,}, {self.command_kills_at_work:,} after its first POST",
            "faults": f"{self.faults.total():,} ({format_counts(self.faults)})",
            "outages of the store": f"{self.outages.total():,} ({format_counts(self.outages)})",
            "two runs at once": f"{self.overlaps:,}, {self.refused:,} of them refused",
            "runs that ended early": f"{self.exited_early:,}",
            "jobs, rows": f"{self.jobs:,}, {self.rows:,}, {self.changed:,} of them changed behind our back",
            "tasks created": f"{self.created:,}",
            "under a cap": f"{self.capped:,} jobs, {self.over_cap:,} tasks too many",
            "duplicates": f"{self.duplicates:,}",
            "rows lost": f"{self.lost:,}",
            "files unreadable": f"{self.unreadable:,}",
            "rows seen twice": f"{self.duplicate_reads:,} in {self.reads:,} reads ({self.empty_reads:,} empty)",
            "temporary files left": f"{self.leftovers:,}",
            "seconds": f"{self.seconds:,.0f}",
        }
        head = f"{self.api_version}, {self.store} (seed {self.seed}): {'clean' if self.is_clean else 'NOT CLEAN'}"
        return [
            head,
            *(f"  {name:<22} {value}" for name, value in listed.items()),
            *(f"  WRONG: {x}" for x in self.violations),
        ]


def format_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.most_common())
