"""The metadata of a task: what the job carries to Scale, and what leads from a task back to its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelflow.jobs.job import Job
from labelflow.tables.storable_types import to_json_value


def task_metadata(
    job: Job, row_id: str, fingerprint: str, source: Mapping[str, Any], generation: int = 0
) -> dict[str, Any]:
    """Return the metadata of a row's task. source, fingerprint, generation: see `labelflow.records.PreparedRow`.

    >>> task_metadata(job, row.row_id, row.fingerprint, row.source)
    {'camera': 'north', 'job': 'street-boxes', 'row_id': '000017', 'manifest': 's3://…', 'fingerprint': '…'}
    """
    return {
        **{name: to_json_value(source[name]) for name in job.metadata},
        "job": job.name,
        "row_id": row_id,
        "manifest": job.manifest.uri,
        "fingerprint": fingerprint,
        **({"generation": generation} if generation else {}),
    }
