"""Small complete jobs for the tests."""

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
    """The document of a job. changes: values by key, or by `section__key`; `...` removes a key.

    Example: `job_document(folder, name="other", submit__max_tasks=5)`
    """
    document: dict[str, Any] = {
        "name": "job",
        "manifest": {"uri": str(folder / "manifest.jsonl"), "row_id": "id"},
        "task": dict(TEXT_TASK),
        "output": str(folder / "out"),
    }
    for path, value in changes.items():
        *sections, key = path.split("__")
        target = document
        for section in sections:
            target = target.setdefault(section, {})
        if value is ...:
            target.pop(key, None)
        else:
            target[key] = value
    return document


def make_job(folder: Path, **changes: Any) -> Job:
    """A validated job; see `job_document`."""
    return Job.model_validate(job_document(folder, **changes))


def write_config(folder: Path, **changes: Any) -> Path:
    """Write the document as a config file; returns its path."""
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job_document(folder, **changes)))
    return path
