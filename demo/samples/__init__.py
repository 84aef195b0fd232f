"""Three sample data sets: street scenes, phone calls, customer messages; the same bytes on every run.

`make_samples` draws and speaks them into a folder, `write_manifests` names them where they can be reached.
Every manifest holds a few rows that are wrong on purpose: `DATA_SETS` says how many rows, and which.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from demo.samples import calls, messages, streets
from demo.samples.manifest import BadRow, DataSet
from demo.samples.speech import SpeechUnavailable

DATA_SETS: dict[str, DataSet] = {
    "streets": streets.DATA_SET,
    "calls": calls.DATA_SET,
    "messages": messages.DATA_SET,
}

__all__ = ["DATA_SETS", "BadRow", "DataSet", "SpeechUnavailable", "make_samples", "write_manifests"]


def make_samples(folder: Path) -> None:
    """Make `streets/` and `calls/` in the folder, a few seconds' work; what is there and complete stays.

    Messages have no files: their manifest holds them. Raises `SpeechUnavailable` where nothing can be spoken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _make_atomically(folder / "streets", streets.file_names(), streets.make)
    _make_atomically(folder / "calls", calls.file_names(), calls.make)


def write_manifests(folder: Path, s3_uri: str, http_url: str | None = None) -> dict[str, Path]:
    """Write the three manifests into `manifests/` of the folder; gives their paths by data set.

    `s3_uri` is where the folder lies in S3 (`s3://bucket/prefix`): `streets/000017.jpg` is found under it.
    `http_url` is where it can be had by http, if it can: then every eighth picture is named that way.
    """
    home = s3_uri.rstrip("/")
    manifests = folder / "manifests"
    manifests.mkdir(parents=True, exist_ok=True)
    paths = {
        "streets": manifests / "streets.jsonl",
        "calls": manifests / "calls.csv",
        "messages": manifests / "messages.parquet",
    }
    base_http = f"{http_url.rstrip('/')}/streets" if http_url else None
    streets.write_manifest(paths["streets"], f"{home}/streets", base_http)
    calls.write_manifest(paths["calls"], f"{home}/calls")
    messages.write_manifest(paths["messages"])
    return paths


def _make_atomically(folder: Path, names: list[str], make: Callable[[Path], None]) -> None:
    """Fill the folder by `make` unless all files are there; made elsewhere first, so never half full."""
    if all((folder / name).is_file() for name in names):
        return
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        half_made = Path(aside) / folder.name
        half_made.mkdir()
        make(half_made)
        shutil.rmtree(folder, ignore_errors=True)
        half_made.rename(folder)
