"""The rejects file: rows that were never submitted, why, and what to do. It reads back in as a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from labelflow.problems import abbreviate
from labelflow.records import RejectedRow
from labelflow.redaction import strip_signatures, strip_signatures_in
from labelflow.storage.folder import Folder
from labelflow.tables.column_types import is_lossless, to_json_value, to_storable_type
from labelflow.tables.parts import list_parts, to_parquet

REJECTS, FILE = "rejects/", "rejects/rejects.parquet"
REJECT_FIELDS = pa.schema(
    [  # type: ignore[arg-type]
        pa.field("reject_row_id", pa.string()),
        pa.field("reject_row", pa.int64(), nullable=False),
        pa.field("reject_field", pa.string(), nullable=False),
        pa.field("reject_reason", pa.string(), nullable=False),
        pa.field("reject_fix", pa.string(), nullable=False),
        pa.field("reject_text", pa.string()),
    ]
)


def write_rejects(folder: Folder, rejected: Sequence[RejectedRow], schema: pa.Schema) -> None:
    """Replace the rejects of the last run by those of this one.

    schema: the manifest's columns, which the file has too, before the `reject_…` ones of our own. Columns that the
    manifest begins to have after the rows from which its schema was told come behind them.
    """
    if not rejected:
        for name in list_parts(folder, REJECTS):
            folder.delete(name)
        return
    ordered = sorted(rejected, key=lambda reject: reject.row.number)
    names = dict.fromkeys([*schema.names, *(name for reject in ordered for name in reject.row.values)])
    columns = {
        name: _column(
            [strip_signatures_in(reject.row.values.get(name)) for reject in ordered],
            to_storable_type(schema.field(name).type) if name in schema.names else None,
        )
        for name in names
        if name not in REJECT_FIELDS.names
    }
    ours = pa.Table.from_pylist([_reject_values(reject) for reject in ordered], schema=REJECT_FIELDS)
    for name in REJECT_FIELDS.names:
        columns[name] = ours[name].combine_chunks()
    table = pa.table(columns).replace_schema_metadata({"labelflow.table": "rejects"})
    folder.write(FILE, to_parquet(table))


def is_own_rejects_file(folder: Folder, uri: str) -> bool:
    """Whether a manifest is the folder's own rejects file: rows that wait in it must not be overwritten."""
    own = f"{folder.uri}/{FILE}"
    return uri == own or ("://" not in uri and Path(uri).resolve() == Path(own).resolve())


def _reject_values(reject: RejectedRow) -> dict[str, Any]:
    before = reject.row.values.get("reject_text")  # of a row that was rejected in an earlier round too
    return {
        "reject_row_id": reject.row_id,
        "reject_row": reject.row.number,
        "reject_field": reject.problem.field,
        "reject_reason": strip_signatures(reject.problem.reason),
        "reject_fix": reject.problem.fix,
        "reject_text": strip_signatures_in(reject.row.text or (before if isinstance(before, str) else None)),
    }


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array[Any]:
    """Values as the manifest's type, None where it is not known; a column that holds others too becomes text."""
    for attempt in (kind, _infer_type(values)):
        try:
            column = pa.array(values, attempt)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        if attempt is not None and all(
            is_lossless(value, cell.as_py()) for value, cell in zip(values, column, strict=True)
        ):
            return column
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _infer_type(values: list[Any]) -> pa.DataType | None:
    """The type that the values have themselves, None where they have none in common."""
    try:
        return to_storable_type(pa.array(values).type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(to_json_value(value)).decode()
    except (TypeError, RecursionError):
        return abbreviate(value, 1000)
