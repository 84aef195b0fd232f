"""What a run that broke off leaves in an output folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from labelflow.concurrency.lease import RUNS
from labelflow.concurrency.lease_record import LeaseRecord


def lease_files(output: Path) -> list[Path]:
    """The files of the runs that are at work, or left something to be settled."""
    return sorted((output / RUNS).glob("*.json"))


def earliest_start(output: Path) -> datetime:
    """Since when there may be tasks that are not in the ledger."""
    return min(LeaseRecord.model_validate_json(mark.read_bytes()).since for mark in lease_files(output))


def abandon(output: Path, started_at: datetime) -> None:
    """As if a run that began then had been killed."""
    (output / RUNS).mkdir(parents=True, exist_ok=True)
    dead = LeaseRecord(since=started_at, exclusive=True, timeout=60, released=True)
    (output / RUNS / f"{dead.id}.json").write_text(dead.model_dump_json())
