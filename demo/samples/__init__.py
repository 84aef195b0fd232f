"""Three sample data sets: street scenes, phone calls, customer messages; every run creates the same bytes.

`make_samples` creates the images and recordings in a folder, `write_manifests` writes manifests with their URLs.
Every manifest has a few invalid rows: `DATA_SETS` lists them, and the number of rows.
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
    """Create `streets/` and `calls/` in the folder, within a few seconds; complete folders are kept.

    Messages have no files: their manifest contains them. Raises `SpeechUnavailable` if speech synthesis is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _make_atomically(folder / "streets", streets.file_names(), streets.make)
    _make_atomically(folder / "calls", calls.file_names(), calls.make)


def write_manifests(folder: Path, s3_uri: str, http_url: str | None = None) -> dict[str, Path]:
    """Write the three manifests into `manifests/` of the folder; returns their paths by data set.

    `s3_uri` is the folder's URI in S3 (`s3://bucket/prefix`), without `streets/000017.jpg`.
    `http_url` is its http URL, if it has one: every eighth image then uses it.
    """
    base_s3 = s3_uri.rstrip("/")
    manifests = folder / "manifests"
    manifests.mkdir(parents=True, exist_ok=True)
    paths = {
        "streets": manifests / "streets.jsonl",
        "calls": manifests / "calls.csv",
        "messages": manifests / "messages.parquet",
    }
    base_http = f"{http_url.rstrip('/')}/streets" if http_url else None
    streets.write_manifest(paths["streets"], f"{base_s3}/streets", base_http)
    calls.write_manifest(paths["calls"], f"{base_s3}/calls")
    messages.write_manifest(paths["messages"])
    return paths


def _make_atomically(folder: Path, names: list[str], make: Callable[[Path], None]) -> None:
    """Create the folder by `make` unless all files exist; in a temporary folder first, so it is never incomplete."""
    if all((folder / name).is_file() for name in names):
        return
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as parent:
        temporary = Path(parent) / folder.name
        temporary.mkdir()
        make(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
