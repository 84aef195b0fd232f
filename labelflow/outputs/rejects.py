"""The rejects file: the rows that were never submitted, with reason and fix. It is itself a valid manifest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from labelflow.batches import next_batch
from labelflow.errors import InvalidInput
from labelflow.lenient_json import dump_json
from labelflow.outputs.folders import REJECTS, REJECTS_FILE
from labelflow.problems import abbreviate
from labelflow.records import ManifestRow, RejectedOrigin, RejectedRow
from labelflow.redaction import strip_signatures, strip_signatures_in
from labelflow.storage.folder import Folder
from labelflow.tables.part_files import list_parts, read_metadata, read_part, to_parquet
from labelflow.tables.storable_types import is_lossless, to_json_value, to_storable_type
from labelflow.tables.temporary import temporary_directory

BATCH_ROWS, BATCH_BYTES = 5000, 8 << 20  # of rows that are written at once
MAX_ROW_NUMBER = 2**53  # a larger one is not from a rejects file, and the ledger could not record it

_METADATA: dict[bytes | str, bytes | str] = {"labelflow.table": "rejects"}

REJECT_FIELDS = pa.schema(
    [  # type: ignore[arg-type]
        pa.field("reject_row_id", pa.string()),
        pa.field("reject_row", pa.int64(), nullable=False),
        pa.field("reject_field", pa.string(), nullable=False),
        pa.field("reject_reason", pa.string(), nullable=False),
        pa.field("reject_fix", pa.string(), nullable=False),
        pa.field("reject_text", pa.string()),
        pa.field("reject_signed", pa.string()),  # `RemovedSignatures` as JSON
        pa.field("reject_digest", pa.int64()),  # `PreparedRow.input_digest`
    ]
)


class RemovedSignatures(BaseModel):
    """The columns of a row whose URLs have lost their signatures, and the row of the manifest that has them."""

    row: int
    columns: list[str]


def removed_signatures(values: Mapping[str, Any]) -> RemovedSignatures | None:
    """Return what a row of a rejects file says about its signatures; None if it had none."""
    text = values.get("reject_signed")
    try:
        return RemovedSignatures.model_validate_json(text) if isinstance(text, str) and text else None
    except ValidationError:
        return None


def rejected_origin(values: Mapping[str, Any]) -> RejectedOrigin | None:
    """Return where a row of a rejects file comes from; None if its columns do not say. CSV has the numbers as text."""
    try:
        number, digest = int(values["reject_row"]), values.get("reject_digest")
        origin = RejectedOrigin(number, None if digest is None else int(digest))
    except (KeyError, TypeError, ValueError, OverflowError):  # OverflowError: an infinite number
        return None
    is_recordable = 1 <= origin.number < MAX_ROW_NUMBER and -(2**63) <= (origin.input_digest or 0) < 2**63
    return origin if is_recordable else None


def discard_submitted(folder: Folder, has_task: Callable[[Sequence[str]], NDArray[np.bool_]]) -> None:
    """Remove the rows of the rejects file that have a task by now, of which a run of other files has repaired some."""
    if REJECTS_FILE not in list_parts(folder, REJECTS):
        return
    table = read_part(folder, REJECTS_FILE)
    row_ids = [row_id or "" for row_id in table["reject_row_id"].to_pylist()]
    kept = table.filter(pa.array(~has_task(row_ids)))
    if len(kept) == len(table):
        return
    if len(kept):
        folder.write(REJECTS_FILE, to_parquet(kept))
    else:
        folder.delete(REJECTS_FILE)


def write_rejects(
    folder: Folder,
    rejected: Iterable[RejectedRow],
    schema: pa.Schema,
    digest: Callable[[ManifestRow], int | None] = lambda _: None,
) -> None:
    """Replace the rejects of the last run with those of this run; without rejects, delete the file. Touches no other.

    rejected: in the order of their row numbers; it is iterated several times.
    schema: the columns of the manifest. The file has them too, followed by columns that were not known when the
    schema was inferred, and by REJECT_FIELDS. digest: gives the `input_digest` of a row. Raises StorageError.
    """
    if next(iter(rejected), None) is None:
        folder.delete(REJECTS_FILE)
        return
    types = _column_types(rejected, schema)
    fields = [*(pa.field(name, kind) for name, kind in types.items()), *REJECT_FIELDS]
    file_schema = pa.schema(fields, _METADATA)
    with temporary_directory() as directory:
        path = directory / "rejects.parquet"
        with pq.ParquetWriter(path, file_schema, compression="zstd") as writer:
            for batch in _batches(rejected):
                columns = [_column(_values(batch, name), kind) for name, kind in types.items()]
                own = [_reject_values(reject, digest) for reject in batch]
                columns += [pa.array([row[field.name] for row in own], field.type) for field in REJECT_FIELDS]
                writer.write_table(pa.table(columns, schema=file_schema))
        folder.write_file(REJECTS_FILE, path)


def is_rejects_file(folder: Folder, uri: str) -> bool:
    """Whether a manifest is the rejects file of this folder, which the end of a run replaces."""
    own_uri = f"{folder.uri}/{REJECTS_FILE}"
    return uri == own_uri or ("://" not in uri and Path(uri).resolve() == Path(own_uri).resolve())


def check_replaceable(folder: Folder, manifest: str) -> None:
    """Raises InvalidInput if the rejects file was edited, and is not the manifest of this run: it would be lost."""
    if is_rejects_file(folder, manifest) or REJECTS_FILE not in list_parts(folder, REJECTS):
        return
    if read_metadata(folder, REJECTS_FILE).get("labelflow.table") != "rejects":
        raise InvalidInput(
            f"{folder.uri}/{REJECTS_FILE}",
            "was edited, and this run would replace it",
            "submit it with --manifest, or move it out of the output folder",
        )


def _reject_values(reject: RejectedRow, digest: Callable[[ManifestRow], int | None]) -> dict[str, Any]:
    earlier = reject.row.values.get("reject_text")  # if the row was rejected in an earlier run too
    return {
        "reject_row_id": reject.row_id,
        "reject_row": reject.row.original_number,
        "reject_field": reject.problem.field,
        "reject_reason": strip_signatures(reject.problem.reason),
        "reject_fix": reject.problem.fix,
        "reject_text": strip_signatures_in(reject.row.text or (earlier if isinstance(earlier, str) else None)),
        "reject_signed": _removed_signatures(reject.row),
        "reject_digest": reject.row.origin.input_digest if reject.row.origin else digest(reject.row),
    }


def _removed_signatures(row: ManifestRow) -> str | None:
    earlier = removed_signatures(row.values)  # if the row was rejected in an earlier run too
    signed = [name for name, value in row.values.items() if strip_signatures_in(value) != value]
    columns = list(dict.fromkeys([*(earlier.columns if earlier else ()), *signed]))
    number = earlier.row if earlier else row.number
    return RemovedSignatures(row=number, columns=columns).model_dump_json() if columns else None


def _batches(rejected: Iterable[RejectedRow]) -> Iterator[list[RejectedRow]]:
    remaining = iter(rejected)
    while batch := next_batch(remaining, lambda reject: reject.row.size, BATCH_ROWS, BATCH_BYTES):
        yield batch


def _values(batch: Sequence[RejectedRow], name: str) -> list[Any]:
    return [strip_signatures_in(reject.row.values.get(name)) for reject in batch]


def _column_types(rejected: Iterable[RejectedRow], schema: pa.Schema) -> dict[str, pa.DataType]:
    """The type of each column: that of the manifest, else one inferred from the values, else string."""
    types: dict[str, pa.DataType | None] = {field.name: to_storable_type(field.type) for field in schema}
    types |= {name: types.get(name) for reject in rejected for name in reject.row.values}
    types = {name: kind for name, kind in types.items() if name not in REJECT_FIELDS.names}
    misfits = _misfits(rejected, types)
    if misfits:
        types |= _inferred_types(rejected, misfits)
        types |= dict.fromkeys(_misfits(rejected, {name: types[name] for name in misfits}), pa.string())
    return {name: kind or pa.string() for name, kind in types.items()}


def _misfits(rejected: Iterable[RejectedRow], types: Mapping[str, pa.DataType | None]) -> set[str]:
    """The columns without a type, or with values that their type cannot store unchanged."""
    misfits = {name for name, kind in types.items() if kind is None}
    for batch in _batches(rejected):
        for name, kind in types.items():
            if name not in misfits and kind is not None and not _fits(_values(batch, name), kind):
                misfits.add(name)
    return misfits


def _fits(values: list[Any], kind: pa.DataType) -> bool:
    try:
        column = pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return all(is_lossless(value, cell.as_py()) for value, cell in zip(values, column, strict=True))


def _inferred_types(rejected: Iterable[RejectedRow], names: Collection[str]) -> dict[str, pa.DataType | None]:
    """The common type of the values of each column, None if they have none."""
    types: dict[str, pa.DataType | None] = dict.fromkeys(names, pa.null())
    for batch in _batches(rejected):
        for name in names:
            kind = types[name]
            types[name] = None if kind is None else _common_type(kind, _values(batch, name))
    return {name: None if kind is None else to_storable_type(kind) for name, kind in types.items()}


def _common_type(kind: pa.DataType, values: list[Any]) -> pa.DataType | None:
    try:
        schemas = [pa.schema([("", each)]) for each in (kind, pa.array(values).type)]
        unified: pa.DataType = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return unified


def _column(values: list[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Convert values to a type that fits them, or to strings."""
    if pa.types.is_string(kind):
        values = [None if value is None else _text(value) for value in values]
    return pa.array(values, kind)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return dump_json(to_json_value(value)).decode()
    except (TypeError, RecursionError):
        return abbreviate(value, 1000)
