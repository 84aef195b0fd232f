"""What was measured last of each comparison, kept in out/benchmarks/: one that is measured anew replaces its own."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.processes import ROOT
from benchmarks.statistics import Series, SeriesByName

FOLDER = ROOT / "out" / "benchmarks"


class Result(BaseModel):
    """The lines of a comparison, and in general words where and when they were measured."""

    model_config = ConfigDict(frozen=True)

    lines: dict[str, Series]
    machine: str
    date: str


def make_result(lines: SeriesByName) -> Result:
    """Lines that were measured here and now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = f"{cores} {'core' if cores == 1 else 'cores'}, Python {platform.python_version()}"
    return Result(lines=dict(lines), machine=machine, date=f"{datetime.now(UTC):%Y-%m-%d}")


def save(name: str, result: Result) -> None:
    """Write a result down, in place of the one before."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _path(name).write_text(result.model_dump_json(indent=2))


def load(name: str) -> Result | None:
    """What was measured last; None where nothing was."""
    return Result.model_validate_json(_path(name).read_text()) if _path(name).exists() else None


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"
