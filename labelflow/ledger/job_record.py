"""Whose an output folder is: what a job writes there when it begins, and holds itself against ever after.

_ledger/job.json     whose folder this is, and the types of the carried columns; written once
_ledger/config.json  the job as its last run had it
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labelflow.errors import RunAborted, UsageError
from labelflow.jobs.job import Job
from labelflow.scale.models import format_time
from labelflow.scale.task_types import task_type
from labelflow.storage.folder import Folder

JOB, CONFIG = "_ledger/job.json", "_ledger/config.json"


def read_source_schema(folder: Folder, job: Job) -> pa.StructType | None:
    """The types of the carried columns with which a folder was begun, None for a new folder.

    Raises UsageError where the folder belongs to another job, or to this one as it was before it was changed.
    """
    content = folder.read(JOB)
    if content is None:
        return None
    begun = _read_record(folder, JOB, content)
    where = f"output {folder.uri}"
    if begun["job"] != job.name or begun["task_type"] != job.task_type:
        raise UsageError(
            where,
            f"holds the job {begun['job']!r} ({begun['task_type']}), not {job.name!r} ({job.task_type})",
            "give each job an output of its own",
        )
    columns = _label_columns(job)
    if begun["label_columns"] != columns:
        raise UsageError(
            where,
            f"was begun with the label columns {begun['label_columns']}, and the task now gives {columns}",
            "restore the task's fields and choices, or use another output",
        )
    schema: pa.Schema = begun["source"]
    wanted = list(dict.fromkeys([job.manifest.row_id, *job.metadata]))
    if schema.names != wanted:
        raise UsageError(
            where,
            f"was begun with the columns {', '.join(schema.names)} in `source`, now {', '.join(wanted)} are asked for",
            "restore manifest.row_id and metadata, or use another output",
        )
    return pa.struct(list(schema))


def create(folder: Folder, job: Job, source_type: pa.StructType) -> None:
    """Make a folder this job's, for good."""
    schema = pa.schema(list(source_type))
    begun = {
        "job": job.name,
        "task_type": job.task_type,
        "begun_at": format_time(datetime.now(UTC)),
        "label_columns": _label_columns(job),
        "columns": {field.name: str(field.type) for field in source_type},
        "source": base64.b64encode(schema.serialize().to_pybytes()).decode(),
    }
    folder.write(JOB, orjson.dumps(begun, option=orjson.OPT_INDENT_2))


def save_config(folder: Folder, job: Job) -> None:
    """Write the job down beside what it produces, so that it can be looked after without its config file."""
    content = job.model_dump_json(indent=2).encode()
    if folder.read(CONFIG) != content:
        folder.write(CONFIG, content)


def load_config(folder: Folder) -> Job | None:
    """The job as its last run had it; None where there was none. Raises RunAborted for what cannot be read."""
    content = folder.read(CONFIG)
    try:
        return Job.model_validate_json(content) if content else None
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{CONFIG} is damaged; run label_dataset to have it written anew") from None


def _label_columns(job: Job) -> dict[str, str]:
    return {field.name: str(field.type) for field in task_type(job.task_type).columns(job.task)}


def _read_record(folder: Folder, name: str, content: bytes) -> dict[str, Any]:
    try:
        begun: dict[str, Any] = orjson.loads(content)
        begun["source"] = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(begun["source"])))
        return {key: begun[key] for key in ("job", "task_type", "label_columns", "source")}
    except (ValueError, TypeError, LookupError, OSError, pa.ArrowException):
        raise RunAborted(f"{folder.uri}/{name} is damaged; restore it from a backup") from None
