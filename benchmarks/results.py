"""The latest result of each comparison, saved in out/benchmarks/."""

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
    """The series of a comparison, the machine and the date."""

    model_config = ConfigDict(frozen=True)

    series: dict[str, Series]
    machine: str
    date: str


def make_result(series: SeriesByName) -> Result:
    """The result of a measurement on this machine, today."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = f"{cores} {'core' if cores == 1 else 'cores'}, Python {platform.python_version()}"
    return Result(series=dict(series), machine=machine, date=f"{datetime.now(UTC):%Y-%m-%d}")


def save(name: str, result: Result) -> None:
    """Save the result of a comparison; replaces an earlier one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _path(name).write_text(result.model_dump_json(indent=2))


def load(name: str) -> Result | None:
    """The latest result of a comparison; None if there is none."""
    return Result.model_validate_json(_path(name).read_text()) if _path(name).exists() else None


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"
