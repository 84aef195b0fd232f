"""The body of a task creation, and the check of its response. `s3://` attachments are signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelflow.errors import StorageError
from labelflow.jobs.job import Delivery, Job
from labelflow.planning.requests.task_metadata import task_metadata
from labelflow.problems import abbreviate
from labelflow.records import PreparedRow
from labelflow.scale.errors import InvalidResponse
from labelflow.scale.models import Task
from labelflow.scale.task_types import replace_values, task_type
from labelflow.storage import s3
from labelflow.storage.s3_client import errors as s3_errors
from labelflow.storage.s3_errors import s3_error


def task_body(job: Job, row: PreparedRow) -> dict[str, Any]:
    """The JSON that is sent for a row. `s3://` attachments are signed now, as late as possible, unless Scale reads S3.

    Raises StorageError if an attachment cannot be signed: without credentials, for example.

    >>> task_body(job, row)["metadata"]
    {'camera': 'north', 'job': 'street-boxes', 'row_id': '000017', 'manifest': 's3://…', 'fingerprint': '…'}
    """
    metadata = task_metadata(job, row.row_id, row.fingerprint, row.source, row.generation)
    params = row.params if job.attachments.deliver is Delivery.S3 else _with_signed_attachments(job, row)
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


def _with_signed_attachments(job: Job, row: PreparedRow) -> dict[str, Any]:
    seconds = int(job.attachments.presign.total_seconds())
    found = task_type(job.task_type).find_attachments(row.params)
    signed = {item.path: _sign(item.value, seconds) for item in found if item.is_in_s3}
    return replace_values(row.params, signed)


def _sign(uri: str, seconds: int) -> str:
    try:
        return s3.presign(uri, seconds)
    except s3_errors() as error:
        raise StorageError(s3_error(error, uri)) from None
