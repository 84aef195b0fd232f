"""The rejects file: the rows that were never submitted, with reason and fix. It is itself a valid manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from labelflow.lenient_json import dump_json
from labelflow.outputs.folders import REJECTS, REJECTS_FILE
from labelflow.problems import abbreviate
from labelflow.records import RejectedRow
from labelflow.redaction import strip_signatures, strip_signatures_in
from labelflow.storage.folder import Folder
from labelflow.tables.column_types import is_lossless, to_json_value, to_storable_type
from labelflow.tables.parts import list_parts, to_parquet

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
    """Replace the rejects of the last run with those of this run; without rejects, delete the file.

    schema: the columns of the manifest. The file has them too, followed by columns that were not known when the
    schema was inferred, and by REJECT_FIELDS. Raises StorageError.
    """
    if not rejected:
        for name in list_parts(folder, REJECTS):
            folder.delete(name)
        return
    sorted_rejects = sorted(rejected, key=lambda reject: reject.row.number)
    names = dict.fromkeys([*schema.names, *(name for reject in sorted_rejects for name in reject.row.values)])
    columns = {
        name: _column(
            [strip_signatures_in(reject.row.values.get(name)) for reject in sorted_rejects],
            to_storable_type(schema.field(name).type) if name in schema.names else None,
        )
        for name in names
        if name not in REJECT_FIELDS.names
    }
    reject_columns = pa.Table.from_pylist([_reject_values(reject) for reject in sorted_rejects], schema=REJECT_FIELDS)
    for name in REJECT_FIELDS.names:
        columns[name] = reject_columns[name].combine_chunks()
    table = pa.table(columns).replace_schema_metadata({"labelflow.table": "rejects"})
    folder.write(REJECTS_FILE, to_parquet(table))


def is_own_rejects_file(folder: Folder, uri: str) -> bool:
    """Whether a manifest is the rejects file of this folder, which then must not be overwritten with fewer rows."""
    own_uri = f"{folder.uri}/{REJECTS_FILE}"
    return uri == own_uri or ("://" not in uri and Path(uri).resolve() == Path(own_uri).resolve())


def _reject_values(reject: RejectedRow) -> dict[str, Any]:
    earlier = reject.row.values.get("reject_text")  # if the row was rejected in an earlier run too
    return {
        "reject_row_id": reject.row_id,
        "reject_row": reject.row.number,
        "reject_field": reject.problem.field,
        "reject_reason": strip_signatures(reject.problem.reason),
        "reject_fix": reject.problem.fix,
        "reject_text": strip_signatures_in(reject.row.text or (earlier if isinstance(earlier, str) else None)),
    }


def _column(values: list[Any], manifest_type: pa.DataType | None) -> pa.Array[Any]:
    """Convert values to the type of the manifest, else to a type inferred from them, else to strings."""
    for column_type in (manifest_type, _infer_type(values)):
        try:
            column = pa.array(values, column_type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        if column_type is not None and all(
            is_lossless(value, cell.as_py()) for value, cell in zip(values, column, strict=True)
        ):
            return column
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _infer_type(values: list[Any]) -> pa.DataType | None:
    """The common type of the values, None if they have none."""
    try:
        return to_storable_type(pa.array(values).type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return dump_json(to_json_value(value)).decode()
    except (TypeError, RecursionError):
        return abbreviate(value, 1000)
