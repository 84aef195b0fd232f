"""Rejected rows beyond the memory limit: all are kept, in the order of the manifest."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.errors import StorageError
from labelflow.outputs import rejected_rows, rejects
from labelflow.outputs.folders import REJECTS_FILE
from labelflow.outputs.rejected_rows import RejectedRows
from labelflow.outputs.rejects import rejected_origin, write_rejects
from labelflow.problems import Problem
from labelflow.records import ManifestRow, RejectedOrigin, RejectedRow
from labelflow.storage.local import LocalFolder

ROWS = 500
PROBLEM = Problem("text", "is null", "give it a value")


@pytest.fixture(params=["in memory", "in a file"])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RejectedRows:
    """Rows that were added by three threads, in chunks."""
    if request.param == "in a file":
        monkeypatch.setattr(rejected_rows, "BATCH_BYTES", 20 * rejected_rows.OBJECT_BYTES)
    collected = RejectedRows()
    for start in (100, 0, 200, 400, 300):
        collected.extend(reject(number) for number in range(start + 1, start + 101))
    return collected


def reject(number: int) -> RejectedRow:
    values = {"id": f"r{number}", "when": datetime(2026, 1, 2, tzinfo=UTC), "price": Decimal("1.5"), "raw": b"\xff"}
    return RejectedRow(ManifestRow(number, values, size=50), f"r{number}", PROBLEM)


def test_rows_are_kept_in_the_order_of_the_manifest(rows: RejectedRows) -> None:
    assert len(rows) == ROWS
    assert list(rows) == [reject(number) for number in range(1, ROWS + 1)]
    assert next(iter(rows)) == reject(1), "it can be iterated again"


def test_rows_that_are_not_kept_are_missing(rows: RejectedRows) -> None:
    rows.keep(lambda row_ids, numbers: np.array([row_id != "r7" for row_id in row_ids], np.bool_) & (numbers % 2 == 1))
    assert [row.row.number for row in rows] == [number for number in range(1, ROWS, 2) if number != 7]
    assert len(rows) == ROWS // 2 - 1
    rows.extend([reject(7)])
    assert 7 in [row.row.number for row in rows]


def test_full_disk_is_a_storage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rejected_rows, "BATCH_BYTES", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StorageError, match="set TMPDIR"):
        RejectedRows().extend([reject(1)])


def test_type_of_a_column_covers_the_values_of_all_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is a batch here. The types depend on all rows."""
    monkeypatch.setattr(rejects, "BATCH_ROWS", 1)
    values: list[dict[str, object]] = [
        {"kept": 1, "widened": 1, "mixed": 1, "new": None, "object": {"a": 1}},
        {"kept": None, "widened": 2.5, "mixed": "x", "new": 7, "object": {"b": "y"}},
        {"kept": 3, "widened": None, "mixed": None, "object": None, "empty": None},
    ]
    rejected = [RejectedRow(ManifestRow(number, row), None, PROBLEM) for number, row in enumerate(values, 1)]
    types: dict[str, pa.DataType] = {"kept": pa.int32(), "widened": pa.int64(), "mixed": pa.int64()}
    schema = pa.schema({**types, "object": pa.string()})
    write_rejects(LocalFolder(str(tmp_path)), rejected, schema)
    table = pq.read_table(tmp_path / REJECTS_FILE)
    assert dict(zip(table.schema.names[:6], table.schema.types, strict=False)) == {
        "kept": pa.int32(),
        "widened": pa.float64(),
        "mixed": pa.string(),
        "object": pa.struct([("a", pa.int64()), ("b", pa.string())]),
        "new": pa.int64(),
        "empty": pa.string(),
    }
    assert table["widened"].to_pylist() == [1.0, 2.5, None]
    assert table["mixed"].to_pylist() == ["1", "x", None]
    assert table["new"].to_pylist() == [None, 7, None]
    assert table["reject_row"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    "values",
    [
        {"reject_row": 2**70},
        {"reject_row": 0},
        {"reject_row": float("inf")},
        {"reject_row": 3, "reject_digest": 2**63},
        {"reject_row": "x"},
        {},
    ],
)
def test_origin_that_the_ledger_could_not_record_is_none(values: dict[str, Any]) -> None:
    assert rejected_origin(values) is None


def test_origin_of_a_rejects_file_is_read() -> None:
    assert rejected_origin({"reject_row": "3", "reject_digest": "-5"}) == RejectedOrigin(3, -5)
