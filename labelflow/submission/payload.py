"""The body of a task creation, and the check of its response. `s3://` attachments are signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelflow.errors import StorageError
from labelflow.jobs.job import Job
from labelflow.problems import abbreviate
from labelflow.records import PreparedRow
from labelflow.scale.errors import InvalidResponse
from labelflow.scale.models import Task
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


def check_created(task: Task, body: Mapping[str, Any]) -> None:
    """Raises InvalidResponse if a task is not the one that was requested, according to its unique_id and metadata.

    A gateway may give a response to the wrong request. The 2017 API returns no `unique_id`.
    """
    sent, received = body["metadata"], task.metadata
    same_row = all(received.get(name) == sent.get(name) for name in ("job", "row_id", "fingerprint", "generation"))
    if same_row and task.unique_id in (None, "", body["unique_id"]):
        return
    owner = task.unique_id or f"{received.get('job')}/{received.get('row_id')}"
    raise InvalidResponse(
        f"{abbreviate(body['unique_id'])} was sent, and the response is task {task.task_id} of {abbreviate(owner)}"
    )


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
