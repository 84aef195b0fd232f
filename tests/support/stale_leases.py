"""Leases that an aborted run leaves in an output folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from labelflow.concurrency.lease import RUNS
from labelflow.concurrency.lease_record import LeaseRecord


def lease_files(output: Path) -> list[Path]:
    """Lease files of runs that are running, or were aborted."""
    return sorted((output / RUNS).glob("*.json"))


def earliest_start(output: Path) -> datetime:
    """The time since which there may be tasks that are not in the ledger."""
    return min(LeaseRecord.model_validate_json(path.read_bytes()).since for path in lease_files(output))


def abandon(output: Path, started_at: datetime) -> None:
    """Write the lease of a killed run that was started at this time."""
    (output / RUNS).mkdir(parents=True, exist_ok=True)
    lease = LeaseRecord(since=started_at, exclusive=True, timeout=60, released=True)
    (output / RUNS / f"{lease.id}.json").write_text(lease.model_dump_json())
