"""The job record: which job an output folder belongs to.

_ledger/job.json     the job's name, task type and mode, and the types of the carried columns; written once
_ledger/config.json  the job as its last run had it
_ledger/added_columns.json  the carried columns, from when one is added until all files have them
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labelflow.errors import InvalidInput, RunAborted
from labelflow.jobs.job import Job
from labelflow.redaction import strip_signatures_in
from labelflow.scale.models import format_time
from labelflow.scale.task_types import task_type
from labelflow.storage.folder import Folder

JOB, CONFIG = "_ledger/job.json", "_ledger/config.json"
ADDED_COLUMNS = "_ledger/added_columns.json"
FORMAT = 3  # of everything below _ledger/ and of the columns of labels/ and errors/


def read_source_schema(folder: Folder, job: Job) -> pa.StructType | None:
    """The recorded types of the carried columns, the row id first; None for a new folder.

    Columns that the job has in addition are not recorded yet; see `extend`. Raises InvalidInput if the folder belongs
    to another job or mode, to this job before an incompatible change, or to another version of labelflow.
    """
    content = folder.read(JOB)
    if content is None:
        return None
    record = _parse(folder, content)
    location = f"output {folder.uri}"
    if record["job"] != job.name or record["task_type"] != job.task_type:
        raise InvalidInput(
            location,
            f"holds the job {record['job']!r} ({record['task_type']}), not {job.name!r} ({job.task_type})",
            "give each job an output of its own",
        )
    mode = job.scale.mode.value
    if record["mode"] != mode:
        reason = f"holds {record['mode']} tasks, and the job says mode: {mode}"
        raise InvalidInput(location, reason, f"use another `output` for mode: {mode}")
    columns = _label_columns(job)
    if record["label_columns"] != columns:
        raise InvalidInput(
            location,
            f"has the label columns {record['label_columns']}, and the task now produces {columns}",
            "restore the task's fields and choices, or use another output",
        )
    schema: pa.Schema = record["source"]
    carried = [job.manifest.row_id, *job.metadata]
    if schema.names[0] != carried[0] or not set(schema.names) <= set(carried):
        raise InvalidInput(
            location,
            f"has the columns {', '.join(schema.names)} in `source`, and the job now asks for {', '.join(carried)}",
            "restore manifest.row_id and metadata, to which columns may be added, or use another output",
        )
    return pa.struct(list(schema))


def claim(folder: Folder, job: Job, source_type: pa.StructType) -> None:
    """Make a folder this job's, permanently. Of two jobs that claim it at the same time, one succeeds.

    Raises InvalidInput if it belongs to another job, or holds other types of the carried columns.
    """
    folder.create(JOB, _to_json(job, source_type, datetime.now(UTC)))
    verify(folder, job, source_type)


def extend(folder: Folder, job: Job, source_type: pa.StructType) -> None:
    """Record columns that were added to `metadata`. Only while no other run creates tasks.

    Rows that have a task already get null. The files of labels/ and errors/ get the columns in the next pass, see
    `added_columns`.
    """
    recorded = read_source_schema(folder, job)
    if recorded is None or recorded == source_type:
        return
    folder.write(ADDED_COLUMNS, orjson.dumps([field.name for field in source_type]))
    content = orjson.loads(folder.read(JOB) or b"{}")
    folder.write(JOB, _to_json(job, source_type, datetime.fromisoformat(content["created_at"])))


def added_columns(folder: Folder) -> list[str]:
    """The carried columns that the files of labels/ and errors/ must have; empty if they have all."""
    content = folder.read(ADDED_COLUMNS)
    return list(map(str, orjson.loads(content))) if content else []


def _to_json(job: Job, source_type: pa.StructType, created_at: datetime) -> bytes:
    record = {
        "format": FORMAT,
        "job": job.name,
        "task_type": job.task_type,
        "mode": job.scale.mode.value,
        "created_at": format_time(created_at),
        "label_columns": _label_columns(job),
        "columns": {field.name: str(field.type) for field in source_type},
        "source": base64.b64encode(pa.schema(list(source_type)).serialize().to_pybytes()).decode(),
    }
    return orjson.dumps(record, option=orjson.OPT_INDENT_2)


def verify(folder: Folder, job: Job, source_type: pa.StructType) -> None:
    """Check that a folder is this job's. Raises InvalidInput as `claim` does."""
    recorded = read_source_schema(folder, job)
    if recorded != source_type:
        raise InvalidInput(
            f"output {folder.uri}",
            f"holds the types {recorded} in `source`, and this run's manifest has {source_type}",
            "run the command again: another run has started at the same time",
        )


def save_config(folder: Folder, job: Job) -> None:
    """Write the job beside its results, so that it can be collected without its config file.

    Only what the job itself sets is written, without URL signatures: the environment and the defaults fill the rest.
    """
    document = strip_signatures_in(job.model_dump(mode="json", exclude_unset=True))
    content = json.dumps(document, indent=2, ensure_ascii=False).encode()
    if folder.read(CONFIG) != content:
        folder.write(CONFIG, content)


def load_config(folder: Folder) -> Job | None:
    """The job as its last run had it; None if there was none. Raises RunAborted if it cannot be read."""
    content = folder.read(CONFIG)
    try:
        return Job.model_validate_json(content) if content else None
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{CONFIG} is corrupt; run label_dataset to rewrite it") from None


def _label_columns(job: Job) -> dict[str, str]:
    return {field.name: str(field.type) for field in task_type(job.task_type).columns(job.task)}


def _parse(folder: Folder, content: bytes) -> dict[str, Any]:
    """The record. Raises InvalidInput for another format, RunAborted if it is corrupt."""
    corrupt = RunAborted(f"{folder.uri}/{JOB} is corrupt; restore it from a backup")
    try:
        record: dict[str, Any] = orjson.loads(content)
        found = record.get("format", 1)
    except (ValueError, AttributeError):
        raise corrupt from None
    if found != FORMAT:
        reason = f"was written by another version of labelflow (format {found}, this version uses {FORMAT})"
        raise InvalidInput(f"output {folder.uri}", reason, "finish the job with that version, or use another output")
    try:
        record["source"] = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(record["source"])))
        return {key: record[key] for key in ("job", "task_type", "mode", "label_columns", "source")}
    except (ValueError, TypeError, LookupError, OSError, pa.ArrowException):
        raise corrupt from None
