"""The ledger: which row has which task. It lives beside what the job produces, and makes it resumable.

_ledger/job.json               whose folder this is, and the types of the carried columns; written once
_ledger/config.json            the job as its last run had it
_ledger/submissions/*.parquet  one part per chunk of rows, written when the chunk is through
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from labeling.errors import Interrupted, Unusable
from labeling.job import Job
from labeling.stages import Submission
from labeling.storage import Folder
from labeling.tables import part_name, parts, read_part, submission_schema, texts, to_parquet
from scale.contract import format_time
from scale.task_types import task_type

JOB, CONFIG, SUBMISSIONS = "_ledger/job.json", "_ledger/config.json", "_ledger/submissions/"
UNKNOWN_ROW = 2**62
READERS = 16  # parts read at once when a ledger is opened


class Ledger:
    """The submissions of a job. Threads may record at once, and so may other processes: see `refresh`.

    A row has one task, unless it was relabeled: then its latest one counts, and those before are superseded.
    """

    def __init__(self, folder: Folder, source_type: pa.StructType) -> None:
        self._folder = folder
        self._schema = submission_schema(source_type)
        self._lock = threading.Lock()
        self._known: set[str] = set()  # names of the parts that are in memory
        self._tables: list[pa.Table] = []
        self._place: dict[str, tuple[int, int]] = {}  # task_id → (table, row in it)
        self._latest: dict[str, str] = {}  # row_id → task_id
        self._generation: dict[str, int] = {}  # row_id → of its latest task, where that is not its first
        self.refresh()

    @property
    def tasks(self) -> int:
        """How many tasks there are, superseded ones among them."""
        return len(self._place)

    def __len__(self) -> int:
        return len(self._latest)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._latest

    def refresh(self) -> None:
        """Take over what other processes have recorded since."""
        new = [name for name in parts(self._folder, SUBMISSIONS) if name not in self._known]
        with ThreadPoolExecutor(READERS) as pool:
            for name, table in zip(new, pool.map(lambda name: read_part(self._folder, name), new), strict=True):
                self._remember(name, table)

    def record(self, submissions: Sequence[Submission]) -> None:
        """Write down tasks that were created. On return they are on lasting storage."""
        if not submissions:
            return
        table = pa.Table.from_pylist([_as_row(submission) for submission in submissions], schema=self._schema)
        name = part_name(SUBMISSIONS, table)
        self._folder.write(name, to_parquet(table))
        self._remember(name, table)

    def find(self, task_id: str) -> Submission | None:
        """The row that a task was made for, None where the task is not of this job, or superseded."""
        place = self._place.get(task_id)
        if place is None:
            return None
        table, row = place
        values: dict[str, Any] = self._tables[table].slice(row, 1).to_pylist()[0]
        submission = Submission(**values)
        return submission if self._latest[submission.row_id] == task_id else None

    def rows(self) -> Iterator[tuple[str, str]]:
        """The row_id of every row, and the task_id of its latest task."""
        yield from self._latest.items()

    def all_tasks(self) -> Iterator[tuple[str, str]]:
        """The row_id and the task_id of every task, superseded ones among them."""
        for table in self._tables:
            yield from zip(texts(table, "row_id"), texts(table, "task_id"), strict=True)

    def has_task(self, task_id: str) -> bool:
        """Whether a task is in the ledger, superseded or not."""
        return task_id in self._place

    def task_of(self, row_id: str) -> str:
        """The latest task of a row that has one."""
        return self._latest[row_id]

    def next_generation(self, row_id: str) -> int:
        """0 for a row without a task; counts the row's tasks otherwise."""
        return self._generation.get(row_id, 0) + 1 if row_id in self._latest else 0

    def fingerprint(self, row_id: str) -> str:
        """Of the request that the latest task of a row was made from."""
        table, row = self._place[self._latest[row_id]]
        return str(self._tables[table]["fingerprint"][row].as_py())

    def superseded(self, task_ids: Iterable[str]) -> set[str]:
        """Those of the tasks in whose stead the row has a later one."""
        if not self._generation:
            return set()
        latest = set(self._latest.values())
        return {task_id for task_id in task_ids if task_id in self._place and task_id not in latest}

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

    def _remember(self, name: str, table: pa.Table) -> None:
        with self._lock:
            if name in self._known:
                return
            self._known.add(name)
            number = len(self._tables)
            self._tables.append(table)
            row_ids, task_ids = texts(table, "row_id"), texts(table, "task_id")
            generations = cast("list[int]", table["generation"].to_pylist())
            self._place.update({task_id: (number, row) for row, task_id in enumerate(task_ids)})
            for row_id, task_id, generation in zip(row_ids, task_ids, generations, strict=True):
                if generation >= self._generation.get(row_id, 0):
                    self._latest[row_id] = task_id
                    if generation:
                        self._generation[row_id] = generation


def recorded_source(folder: Folder, job: Job) -> pa.StructType | None:
    """The types of the carried columns with which a folder was begun, None for a new folder.

    Raises Unusable where the folder belongs to another job, or to this one as it was before it was changed.
    """
    content = folder.read(JOB)
    if content is None:
        return None
    begun = _read_begun(folder, JOB, content)
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
    schema: pa.Schema = begun["source"]
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


def keep_config(folder: Folder, job: Job) -> None:
    """Write the job down beside what it produces, so that it can be looked after without its config file."""
    content = job.model_dump_json(indent=2).encode()
    if folder.read(CONFIG) != content:
        folder.write(CONFIG, content)


def kept_config(folder: Folder) -> Job | None:
    """The job as its last run had it; None where there was none. Raises Interrupted for what cannot be read."""
    content = folder.read(CONFIG)
    try:
        return Job.model_validate_json(content) if content else None
    except ValidationError:
        raise Interrupted(f"{folder.uri}/{CONFIG} is damaged; run label_dataset to have it written anew") from None


def _label_columns(job: Job) -> dict[str, str]:
    return {field.name: str(field.type) for field in task_type(job.task_type).columns(job.task)}


def _as_row(submission: Submission) -> dict[str, Any]:
    return {name: getattr(submission, name) for name in Submission.__dataclass_fields__}


def _read_begun(folder: Folder, name: str, content: bytes) -> dict[str, Any]:
    try:
        begun: dict[str, Any] = orjson.loads(content)
        begun["source"] = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(begun["source"])))
        return {key: begun[key] for key in ("job", "task_type", "label_columns", "source")}
    except (ValueError, TypeError, LookupError, OSError, pa.ArrowException):
        raise Interrupted(f"{folder.uri}/{name} is damaged; restore it from a backup") from None
