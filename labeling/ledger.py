"""The ledger: which row has which task. It lives beside what the job produces, and makes it resumable.

_ledger/job.json               whose folder this is, and the types of the carried columns; written once
_ledger/open.json              since when there may be tasks of which the ledger does not know
_ledger/submissions/*.parquet  one part per chunk of rows, written when the chunk is through
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from labeling.errors import Interrupted, Unusable
from labeling.job import Job
from labeling.stages import Submission
from labeling.storage import Folder
from labeling.tables import part_name, parts, read_part, submission_schema, texts, to_parquet
from scale.contract import format_time, parse_time
from scale.task_types import task_type

JOB, OPEN, SUBMISSIONS = "_ledger/job.json", "_ledger/open.json", "_ledger/submissions/"
UNKNOWN_ROW = 2**62
READERS = 16  # parts read at once when a ledger is opened


class Ledger:
    """The submissions of a job. Threads may record at once."""

    def __init__(self, folder: Folder, source_type: pa.StructType) -> None:
        self._folder = folder
        self._schema = submission_schema(source_type)
        self._lock = threading.Lock()
        self._is_open = False  # whether this run has seen to it that _ledger/open.json is there
        self._tasks: dict[str, str] = {}  # row_id → task_id
        self._tables: list[pa.Table] = []
        self._place: dict[str, tuple[int, int]] = {}  # task_id → (table, row in it)
        with ThreadPoolExecutor(READERS) as pool:
            for table in pool.map(lambda name: read_part(folder, name), parts(folder, SUBMISSIONS)):
                self._remember(table)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._tasks

    def record(self, submissions: Sequence[Submission]) -> None:
        """Write down tasks that were created. On return they are on lasting storage."""
        if not submissions:
            return
        table = pa.Table.from_pylist([_as_row(submission) for submission in submissions], schema=self._schema)
        self._folder.write(part_name(SUBMISSIONS, table), to_parquet(table))
        self._remember(table)

    def find(self, task_id: str) -> Submission | None:
        """The row that a task was made for, None where the task is not of this job."""
        place = self._place.get(task_id)
        if place is None:
            return None
        table, row = place
        values: dict[str, Any] = self._tables[table].slice(row, 1).to_pylist()[0]
        return Submission(**values)

    def rows(self) -> Iterator[tuple[str, str]]:
        """The row_id and the task_id of every task."""
        yield from self._tasks.items()

    def row_number(self, task_id: str) -> int:
        """Where in the manifest the row of a task stood, counted from 1; behind all others where it is not known."""
        if task_id not in self._place:
            return UNKNOWN_ROW
        table, row = self._place[task_id]
        return int(self._tables[table]["row"][row].as_py())

    @property
    def server_knows_ids(self) -> bool:
        """Whether the server took the tasks' `unique_id` (contract B): it gives it back with each task."""
        return any(table["unique_id"].null_count < len(table) for table in self._tables)

    def first_created(self) -> datetime | None:
        """When the oldest task of the job was created (UTC)."""
        oldest = [pc.min(table["created_at"]).as_py() for table in self._tables]
        return min((moment for moment in oldest if moment is not None), default=None)

    def mark_open(self) -> None:
        """Write down, before the first task is created, since when there may be unrecorded ones."""
        with self._lock:
            if not self._is_open and self.open_since() is None:
                self._folder.write(OPEN, orjson.dumps({"since": format_time(datetime.now(UTC))}))
            self._is_open = True

    def open_since(self) -> datetime | None:
        """Since when there may be tasks of which the ledger does not know; None where there are none."""
        content = self._folder.read(OPEN)
        return parse_time(_read_json(self._folder, OPEN, content)["since"]) if content else None

    def mark_settled(self) -> None:
        """Every task that was created is recorded."""
        self._folder.delete(OPEN)
        self._is_open = False

    def _remember(self, table: pa.Table) -> None:
        with self._lock:
            number = len(self._tables)
            self._tables.append(table)
            task_ids = texts(table, "task_id")
            self._tasks.update(zip(texts(table, "row_id"), task_ids, strict=True))
            for row, task_id in enumerate(task_ids):
                self._place[task_id] = (number, row)


def recorded_source(folder: Folder, job: Job) -> pa.StructType | None:
    """The types of the carried columns with which a folder was begun, None for a new folder.

    Raises Unusable where the folder belongs to another job, or to this one as it was before it was changed.
    """
    content = folder.read(JOB)
    if content is None:
        return None
    begun = _read_json(folder, JOB, content)
    where = f"output {folder.uri}"
    if begun["job"] != job.name or begun["task_type"] != job.task_type:
        raise Unusable(
            where,
            f"holds the job {begun['job']!r} ({begun['task_type']}), not {job.name!r} ({job.task_type})",
            "give each job an output of its own",
        )
    columns = _label_columns(job)
    if begun["label_columns"] != columns:
        raise Unusable(
            where,
            f"was begun with the label columns {begun['label_columns']}, and the task now gives {columns}",
            "restore the task's fields and choices, or use another output",
        )
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(begun["source"])))
    wanted = list(dict.fromkeys([job.manifest.row_id, *job.metadata]))
    if schema.names != wanted:
        raise Unusable(
            where,
            f"was begun with the columns {', '.join(schema.names)} in `source`, now {', '.join(wanted)} are asked for",
            "restore manifest.row_id and metadata, or use another output",
        )
    return pa.struct(list(schema))


def begin(folder: Folder, job: Job, source_type: pa.StructType) -> None:
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


def _label_columns(job: Job) -> dict[str, str]:
    return {field.name: str(field.type) for field in task_type(job.task_type).columns(job.task)}


def _as_row(submission: Submission) -> dict[str, Any]:
    return {name: getattr(submission, name) for name in Submission.__dataclass_fields__}


def _read_json(folder: Folder, name: str, content: bytes) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", orjson.loads(content))
    except orjson.JSONDecodeError:
        raise Interrupted(f"{folder.uri}/{name} is damaged; restore it from a backup") from None
