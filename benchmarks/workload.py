"""The work that is the same for all sides: a manifest, the job made from it, and the request made from a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

JOB = "benchmark"  # the stub's completed tasks bear this name
KEY = "test_benchmark"
THREADS = 16  # requests under way at once: a job's default
TASK = {
    "type": "categorization",
    "instruction": "What does the picture show?",
    "attachment_type": "image",
    "categories": ["street", "house", "other"],
}

Row = dict[str, Any]


def write_manifest(path: Path, rows: int, uri: str = "https://images.example.com/street/{number:08}.jpg") -> Path:
    """A JSONL manifest of so many rows; uri: of the attachment of each."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            row = {"id": f"r{number}", "image": uri.format(number=number), "camera": "north"}
            file.write(json.dumps(row) + "\n")
    return path


def read_manifest(path: Path, rows: int) -> list[Row]:
    """The first so many rows of a manifest, all at once, as a script would have them."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(rows), strict=False)]


def write_config(path: Path, manifest: Path) -> Path:
    """A job over a manifest. Its output and the API's URL are given when it is run."""
    job = {
        "name": JOB,
        "manifest": {"uri": str(manifest), "row_id": "id"},
        "task": {**TASK, "attachment": "{image}"},
        "metadata": ["camera"],
        "attachments": {"check": "off"},
        "submit": {"concurrency": THREADS},
        "collect": {"timeout": "1m"},  # a mistake here is not to wait for people
        "output": str(path.parent / "out"),
    }
    path.write_text(yaml.safe_dump(job), encoding="utf-8")
    return path


def request(row: Row) -> dict[str, Any]:
    """What a script asks for a row: the same task as the job's, with the same `unique_id`."""
    return {
        "instruction": TASK["instruction"],
        "attachment_type": TASK["attachment_type"],
        "attachment": row["image"],
        "categories": TASK["categories"],
        "unique_id": f"{JOB}/{row['id']}",
        "metadata": {"row_id": row["id"], "camera": row["camera"]},
    }
