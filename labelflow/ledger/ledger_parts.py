"""Parts of the ledger: Parquet files of submissions, and the columns of each that stay in memory.

_ledger/submissions/*.parquet  one part per chunk of rows, written when the chunk is complete
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from labelflow.records import Submission
from labelflow.storage.folder import Folder
from labelflow.tables.key_index import MISSING, Int64Array
from labelflow.tables.part_files import digest_of, part_name, to_parquet
from labelflow.tables.schemas import submission_schema

SUBMISSIONS = "_ledger/submissions/"
INDEXED_COLUMNS = [
    "row_id",
    "row",
    "task_id",
    "unique_id",
    "input_digest",
    "generation",
    "created_at",
]  # the columns that `LoadedPart` is built from


@dataclass(frozen=True, slots=True)
class LoadedPart:
    """The columns of one ledger part that stay in memory. All arrays have one element per submission.

    name: file name. start: ledger position of the first submission of the part.
    """

    name: str
    start: int
    row_ids: pa.ChunkedArray[Any]
    task_ids: pa.ChunkedArray[Any]
    rows: Int64Array
    input_digests: Int64Array
    generations: Int64Array
    created: Int64Array  # milliseconds since 1970, MISSING if the server returned no time
    is_latest: NDArray[np.bool_]  # False if the row has a later task
    first_created: datetime | None
    has_unique_ids: bool

    @classmethod
    def of(cls, name: str, start: int, table: pa.Table) -> LoadedPart:
        """Return the part with these submissions. table: has at least INDEXED_COLUMNS."""
        return cls(
            name=name,
            start=start,
            row_ids=table["row_id"],
            task_ids=table["task_id"],
            rows=table["row"].to_numpy(),
            input_digests=table["input_digest"].to_numpy(),
            generations=table["generation"].to_numpy().astype(np.int64),
            created=_milliseconds(table["created_at"]),
            is_latest=np.ones(len(table), np.bool_),
            first_created=pc.min(table["created_at"]).as_py(),
            has_unique_ids=table["unique_id"].null_count < len(table),
        )


def write_part(folder: Folder, source_type: pa.StructType, submissions: Sequence[Submission]) -> tuple[str, pa.Table]:
    """Write submissions as one part of a ledger, durable on return. Returns its file name and its table.

    source_type: Arrow struct of the carried columns. Equal submissions give the same name, so a repeat adds no part.
    Raises StorageError.
    """
    schema = submission_schema(source_type)
    table = pa.Table.from_pylist([_as_row(submission) for submission in submissions], schema=schema)
    name = part_name(SUBMISSIONS, digest_of(table))
    folder.write(name, to_parquet(table))
    return name, table


def _milliseconds(times: pa.ChunkedArray[Any]) -> Int64Array:
    """Return milliseconds since 1970, MISSING for null."""
    return np.maximum(times.to_numpy().astype("datetime64[ms]").astype(np.int64), MISSING)


def _as_row(submission: Submission) -> dict[str, Any]:
    values = {name: getattr(submission, name) for name in Submission.__dataclass_fields__}
    return {**values, "media": [info and asdict(info) for info in submission.media]}
