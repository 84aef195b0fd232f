"""The command line of the baselines, and the file that they write."""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.workload import THREADS, write_manifest


class Options(argparse.Namespace):
    """Options of a baseline. url: of the API with its /v1, or of the S3 server; output: folder for the task ids."""

    url: str
    rows: int
    threads: int
    manifest: Path
    output: Path


def parse_options(description: str | None, parser: argparse.ArgumentParser | None = None) -> Options:
    """Parse the command line; creates a manifest and an output folder if none is options."""
    parser = parser or argparse.ArgumentParser()
    parser.description = description
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--url", required=True, help="of the server")
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="N")
    parser.add_argument("--manifest", type=Path, metavar="JSONL", help="use its first N rows; default: a generated one")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: a temporary one")
    options = parser.parse_args(namespace=Options())
    options.output = options.output or Path(tempfile.mkdtemp(prefix="benchmark-"))
    options.manifest = options.manifest or write_manifest(options.output / "manifest.jsonl", options.rows)
    return options


def write_ids(folder: Path, ids: Iterable[tuple[str, str]]) -> None:
    """Write row ids and their task ids as CSV."""
    with (folder / "tasks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("row_id", "task_id"))
        writer.writerows(ids)
