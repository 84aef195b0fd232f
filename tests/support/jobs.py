"""Jobs for the tests: small, complete, easy to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from labelflow.jobs.job import Job

TEXT_TASK = {
    "type": "categorization",
    "instruction": "What is it about?",
    "attachment_type": "text",
    "attachment": "{text}",
    "categories": ["a", "b"],
}


def job_document(folder: Path, **changes: Any) -> dict[str, Any]:
    """A job's document; a change may reach into a section with `section__key`."""
    made: dict[str, Any] = {
        "name": "job",
        "manifest": {"uri": str(folder / "manifest.jsonl"), "row_id": "id"},
        "task": dict(TEXT_TASK),
        "output": str(folder / "out"),
    }
    for path, value in changes.items():
        *sections, key = path.split("__")
        target = made
        for section in sections:
            target = target.setdefault(section, {})
        if value is ...:
            target.pop(key, None)
        else:
            target[key] = value
    return made


def make_job(folder: Path, **changes: Any) -> Job:
    """The job of a document."""
    return Job.model_validate(job_document(folder, **changes))


def write_config(folder: Path, **changes: Any) -> Path:
    """The document as a config file."""
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job_document(folder, **changes)))
    return path
