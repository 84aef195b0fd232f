"""The body of a task creation: parameters with signed attachments, `unique_id` and metadata."""

from __future__ import annotations

from typing import Any

from labelflow.errors import StorageError
from labelflow.jobs.job import Job
from labelflow.records import PreparedRow
from labelflow.storage import s3
from labelflow.storage.s3_client import errors as s3_errors
from labelflow.storage.s3_errors import s3_error
from labelflow.tables.column_types import to_json_value


def task_body(job: Job, row: PreparedRow) -> dict[str, Any]:
    """The JSON that is sent for a row. `s3://` attachments are signed now, as late as possible.

    Raises StorageError if an attachment cannot be signed: without credentials, for example.

    >>> task_body(job, row)["metadata"]
    {'camera': 'north', 'job': 'street-boxes', 'row_id': '000017', 'manifest': 's3://…', 'fingerprint': '…'}
    """
    metadata = {
        **{name: to_json_value(row.source[name]) for name in job.metadata},
        "job": job.name,
        "row_id": row.row_id,
        "manifest": job.manifest.uri,
        "fingerprint": row.fingerprint,
        **({"generation": row.generation} if row.generation else {}),
    }
    params = _with_signed_attachments(row, int(job.attachments.presign.total_seconds()))
    return {**params, **row.common, "unique_id": row.unique_id, "metadata": metadata}


def _with_signed_attachments(row: PreparedRow, seconds: int) -> dict[str, Any]:
    params = dict(row.params)
    if not row.attachments or row.attachments[0].attachment_type == "text":
        return params
    if "attachment" in params:
        params["attachment"] = _sign(params["attachment"], seconds)
    if "attachments" in params:
        params["attachments"] = [_sign(value, seconds) for value in params["attachments"]]
    return params


def _sign(value: Any, seconds: int) -> Any:
    if not isinstance(value, str) or not value.startswith("s3://"):
        return value
    try:
        return s3.presign(value, seconds)
    except s3_errors() as error:
        raise StorageError(s3_error(error, value)) from None
