"""The command line of the peers, and the file that a script leaves behind."""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.workload import THREADS, write_manifest


class Options(argparse.Namespace):
    """What a peer is told. url: of the API with its /v1, or of the S3 server; ids: where task ids are written to."""

    url: str
    rows: int
    threads: int
    manifest: Path
    output: Path


def parse_options(description: str | None, parser: argparse.ArgumentParser | None = None) -> Options:
    """Read the command line; where it names no manifest one is made."""
    parser = parser or argparse.ArgumentParser()
    parser.description = description
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--url", required=True, help="of the server")
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="N")
    parser.add_argument("--manifest", type=Path, metavar="JSONL", help="its first N rows; made up where none is given")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="a temporary one where none is given")
    found = parser.parse_args(namespace=Options())
    found.output = found.output or Path(tempfile.mkdtemp(prefix="benchmark-"))
    found.manifest = found.manifest or write_manifest(found.output / "manifest.jsonl", found.rows)
    return found


def write_ids(folder: Path, ids: Iterable[tuple[str, str]]) -> None:
    """Which row has which task, as CSV."""
    with (folder / "tasks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("row_id", "task_id"))
        writer.writerows(ids)
