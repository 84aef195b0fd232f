"""Parts of the ledger: what of each stays in memory, and the whole ones that were used of late.

_ledger/submissions/*.parquet  one part per chunk of rows, written when the chunk is through
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from labelflow.records import Submission
from labelflow.storage.folder import Folder
from labelflow.tables.key_index import UNKNOWN, Numbers
from labelflow.tables.schemas import digest_of, part_name, read_part, submission_schema, to_parquet

SUBMISSIONS = "_ledger/submissions/"
IN_MEMORY = ["row_id", "row", "task_id", "unique_id", "inputs", "generation", "created_at"]  # what `Part` is made of
KEPT_ROWS = 50_000  # submissions that are kept whole in memory, some 12 MB; of all others the columns of `Part`


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the ledger, as far as it always stays in memory; `start`: the place of its first submission."""

    name: str
    start: int
    row_ids: pa.ChunkedArray[Any]
    task_ids: pa.ChunkedArray[Any]
    rows: Numbers
    inputs: Numbers
    generations: Numbers
    created: Numbers  # milliseconds since 1970, UNKNOWN where the server did not say
    is_latest: NDArray[np.bool_]  # whether the row has no later task
    first_created: datetime | None
    has_unique_ids: bool

    @classmethod
    def of(cls, name: str, start: int, table: pa.Table) -> Part:
        return cls(
            name=name,
            start=start,
            row_ids=table["row_id"],
            task_ids=table["task_id"],
            rows=table["row"].to_numpy(),
            inputs=table["inputs"].to_numpy(),
            generations=table["generation"].to_numpy().astype(np.int64),
            created=_milliseconds(table["created_at"]),
            is_latest=np.ones(len(table), np.bool_),
            first_created=pc.min(table["created_at"]).as_py(),
            has_unique_ids=table["unique_id"].null_count < len(table),
        )


class WholeParts:
    """Whole parts of a folder; those that were used last are kept. Threads may share one."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._kept: dict[str, pa.Table] = {}  # the one that was used last at the end
        self._lock = threading.Lock()

    def read(self, name: str) -> pa.Table:
        """The part of that name."""
        with self._lock:
            table = self._kept.pop(name, None)
        if table is None:
            table = read_part(self._folder, name)
        self.keep(name, table)
        return table

    def keep(self, name: str, table: pa.Table) -> None:
        """Keep a part that is known already."""
        with self._lock:
            self._kept[name] = table
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_ROWS:
                del self._kept[next(iter(self._kept))]


def write_submissions(
    folder: Folder, source_type: pa.StructType, submissions: Sequence[Submission]
) -> tuple[str, pa.Table]:
    """Write tasks down as a part of a ledger: on return it is on lasting storage. Gives its name and its content."""
    schema = submission_schema(source_type)
    table = pa.Table.from_pylist([_as_row(submission) for submission in submissions], schema=schema)
    name = part_name(SUBMISSIONS, digest_of(table))
    folder.write(name, to_parquet(table))
    return name, table


def _milliseconds(times: pa.ChunkedArray[Any]) -> Numbers:
    """Since 1970, UNKNOWN for a time that is null."""
    return np.maximum(times.to_numpy().astype("datetime64[ms]").astype(np.int64), UNKNOWN)


def _as_row(submission: Submission) -> dict[str, Any]:
    return {name: getattr(submission, name) for name in Submission.__dataclass_fields__}
