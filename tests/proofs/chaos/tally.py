"""Counts of a scenario: kills, faults, outages, and the outcomes of the rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ChaosReport:
    """Counts of one combination of API version and store."""

    api_version: str
    store: str
    seed: int
    kills: Counter[str] = field(default_factory=Counter)  # by crash point
    command_kills: int = 0
    command_kills_at_work: int = 0  # after the run had created a task
    outages: Counter[str] = field(default_factory=Counter)
    overlaps: int = 0  # two runs of a job at the same time
    refused: int = 0  # of those, runs that were refused because of the other's lease
    namespaces: int = 0  # runs in a PID namespace of their own
    wrong_clocks: int = 0  # runs whose clock was 20 minutes off
    collectors: int = 0  # passes of `collect` beside the runs
    unreached: list[str] = field(default_factory=list)  # crash points without a kill
    exited_early: int = 0  # runs that ended with status 1 because of an outage or a fault
    faults: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    rows: int = 0
    capped: int = 0  # jobs that reached their cap, before it was removed
    over_cap: int = 0  # tasks above the cap
    changed: int = 0  # of these, rows that were changed while their task was not in the ledger
    created: int = 0  # tasks in the sandbox
    duplicates: int = 0  # tasks beyond the first one of a row
    lost: int = 0  # rows with no outcome, or with several
    unreadable: int = 0
    duplicate_reads: int = 0  # rows that a reader read twice
    reads: int = 0  # by readers
    empty_reads: int = 0  # additional reads of a folder without files
    leftovers: int = 0  # temporary files of killed runs, which readers ignore
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether there is no violation."""
        return not (
            self.duplicates or self.over_cap or self.lost or self.unreadable or self.duplicate_reads or self.violations
        )

    def to_lines(self) -> list[str]:
        """The counts as text."""
        listed = {
            "kills": f"{self.kills.total():,} ({format_counts(self.kills)})",
            "of the whole command": f"{self.command_kills:,}, {self.command_kills_at_work:,} after its first POST",
            "faults": f"{self.faults.total():,} ({format_counts(self.faults)})",
            "store outages": f"{self.outages.total():,} ({format_counts(self.outages)})",
            "concurrent runs": f"{self.overlaps:,}, {self.refused:,} of them refused",
            "unreached crash points": ", ".join(self.unreached) or "none",
            "in a PID namespace": f"{self.namespaces:,}",
            "with a wrong clock": f"{self.wrong_clocks:,}",
            "concurrent collectors": f"{self.collectors:,}",
            "runs that ended early": f"{self.exited_early:,}",
            "jobs, rows": f"{self.jobs:,}, {self.rows:,}, {self.changed:,} of them changed externally",
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
