"""The workload of all contenders: a manifest, the job for it, and the request for a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

JOB = "benchmark"  # job name in the metadata of the stub's completed tasks
KEY = "test_benchmark"
THREADS = 16  # concurrent requests: the default of a job
TASK = {
    "type": "categorization",
    "instruction": "What does the picture show?",
    "attachment_type": "image",
    "categories": ["street", "house", "other"],
}

Row = dict[str, Any]


def write_manifest(path: Path, rows: int, uri: str = "https://images.example.com/street/{number:08}.jpg") -> Path:
    """Write a JSONL manifest; uri: template of the attachment URIs. Returns the path."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            row = {"id": f"r{number}", "image": uri.format(number=number), "camera": "north"}
            file.write(json.dumps(row) + "\n")
    return path


def read_manifest(path: Path, rows: int) -> list[Row]:
    """Read the first `rows` rows of a manifest into memory, as a script would."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(rows), strict=False)]


def write_config(path: Path, manifest: Path) -> Path:
    """Write the config of a job for a manifest. Output and API URL are set when it is run. Returns the path."""
    job = {
        "name": JOB,
        "manifest": {"uri": str(manifest), "row_id": "id"},
        "task": {**TASK, "attachment": "{image}"},
        "metadata": ["camera"],
        "attachments": {"check": "off"},
        "submit": {"concurrency": THREADS},
        "collect": {"timeout": "1m"},  # limits the wait if a benchmark is wrong
        "output": str(path.parent / "out"),
    }
    path.write_text(yaml.safe_dump(job), encoding="utf-8")
    return path


def request(row: Row) -> dict[str, Any]:
    """The request of a script for a row: the same task and `unique_id` as those of the job."""
    return {
        "instruction": TASK["instruction"],
        "attachment_type": TASK["attachment_type"],
        "attachment": row["image"],
        "categories": TASK["categories"],
        "unique_id": f"{JOB}/{row['id']}",
        "metadata": {"row_id": row["id"], "camera": row["camera"]},
    }
