"""Requests, rejects and manifests: identities are stable, types are kept, and no row is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.errors import RunAborted
from labelflow.manifests import open_manifest
from labelflow.outputs.folders import REJECTS_FILE
from labelflow.outputs.rejected_rows import RejectedRows
from labelflow.outputs.rejects import write_rejects
from labelflow.planning.requests.task_requests import MAX_UNIQUE_ID_CHARS, TaskRequestBuilder, unique_id
from labelflow.problems import Problem
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from labelflow.scale.task_types import task_type
from labelflow.storage.local import LocalFolder
from tests.support.jobs import make_job

COLUMNS: dict[str, pa.DataType] = {"id": pa.string(), "text": pa.string(), "n": pa.int64()}
SCHEMA = pa.schema(COLUMNS)


def build_request(tmp_path: Path, values: dict[str, Any], schema: pa.Schema = SCHEMA, **changes: Any) -> PreparedRow:
    row = TaskRequestBuilder(make_job(tmp_path, **changes), schema).build(ManifestRow(1, values))
    assert isinstance(row, PreparedRow)
    return row


def test_fingerprint_distinguishes_types_but_not_key_order(tmp_path: Path) -> None:
    task = {"type": "some", "attachment_type": "text", "attachment": "{text}"}
    values = {"id": "1", "text": "x"}
    first = build_request(tmp_path, values, task=task).fingerprint
    assert first != build_request(tmp_path, values, task={**task, "type": "other"}).fingerprint
    assert first == build_request(tmp_path, values, task=dict(reversed(task.items()))).fingerprint


def test_unset_job_fields_are_not_sent(tmp_path: Path) -> None:
    params = build_request(tmp_path, {"id": "1", "text": "x"}).params
    assert sorted(params) == ["attachment", "attachment_type", "categories", "instruction"]


def test_undocumented_parameters_are_sent_unchanged(tmp_path: Path) -> None:
    row = build_request(tmp_path, {"id": "1", "text": "x", "n": 3}, task__novelty={"of": ["{n}"]})
    assert row.params["novelty"] == {"of": [3]}


def test_common_parameter_from_a_column_is_validated_per_row(tmp_path: Path) -> None:
    builder = TaskRequestBuilder(make_job(tmp_path, task__urgency="{text}"), SCHEMA)
    assert isinstance(builder.build(ManifestRow(1, {"id": "1", "text": "week"})), PreparedRow)
    bad = builder.build(ManifestRow(2, {"id": "2", "text": "soon"}))
    assert isinstance(bad, RejectedRow)
    assert bad.problem.field == "urgency"


def test_unique_id_is_hashed_only_when_too_long() -> None:
    most = "x" * (MAX_UNIQUE_ID_CHARS - len("job/"))
    assert unique_id("job", most) == f"job/{most}"
    assert unique_id("job", most + "x").startswith("job/sha256-")


def test_dictionary_columns_are_carried_as_their_values(tmp_path: Path) -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("camera", kind)])
    job = make_job(tmp_path, metadata=["camera"])
    assert TaskRequestBuilder(job, schema).source_type == pa.struct([("id", pa.string()), ("camera", pa.string())])
    assert build_request(tmp_path, {"id": "1", "text": "x", "camera": "left"}, schema, metadata=["camera"]).source == {
        "id": "1",
        "camera": "left",
    }


def test_column_types_recorded_at_creation_are_kept(tmp_path: Path) -> None:
    recorded_types = pa.struct([("id", pa.string()), ("n", pa.float64())])
    builder = TaskRequestBuilder(make_job(tmp_path, metadata=["n"]), SCHEMA, recorded_types)
    assert builder.source_type == recorded_types


def test_rejects_keep_order_and_types_and_have_no_signature(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    reason = "https://b.example/k.jpg?X-Amz-Credential=A&X-Amz-Signature=5ec2e7 answered 403"
    rejected = [
        RejectedRow(ManifestRow(9, {"id": "b", "n": 2}), "b", Problem("attachment", reason, "correct it")),
        RejectedRow(ManifestRow(4, {}, None, '{"id": 4'), None, Problem("(line)", "is no valid JSON", "mend it")),
        RejectedRow(ManifestRow(2, {"id": "a", "n": 1}), "a", Problem("text", "is null", "give it a value")),
    ]
    rows = RejectedRows()
    rows.extend(rejected)
    write_rejects(folder, rows, SCHEMA)
    table = pq.read_table(tmp_path / REJECTS_FILE)
    assert table["reject_row"].to_pylist() == [2, 4, 9]
    assert table["n"].type == pa.int64()
    assert table["n"].to_pylist() == [1, None, 2]
    assert table["reject_text"].to_pylist() == [None, '{"id": 4', None]
    assert table["reject_reason"].to_pylist()[2] == "https://b.example/k.jpg answered 403"
    write_rejects(folder, [], SCHEMA)
    assert not (tmp_path / REJECTS_FILE).exists()


def test_unreadable_line_keeps_its_text(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b'{"id": 1}\n{"id": 2\n[3]\n')
    rows = list(open_manifest(str(tmp_path / "m.jsonl")).rows)
    assert [row.text for row in rows] == [None, '{"id": 2', "[3]"]
    (tmp_path / "m.csv").write_bytes(b"id,a\n1,x\n2\n")
    assert [row.text for row in open_manifest(str(tmp_path / "m.csv")).rows] == [None, "2"]


def test_rows_of_a_large_parquet_file_are_numbered_consecutively(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": list(range(2500))}), tmp_path / "m.parquet", row_group_size=700)
    rows = list(open_manifest(str(tmp_path / "m.parquet")).rows)
    assert [row.number for row in rows] == list(range(1, 2501))
    assert [row.values["id"] for row in rows] == list(range(2500))


def test_truncated_manifest_ends_the_run_without_removing_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    table = pa.table({"id": [f"{number * 7919:032x}" for number in range(6000)]})
    pq.write_table(table, path, row_group_size=2000, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    content[start : start + 2000] = bytes(2000)
    path.write_bytes(content)
    rows = open_manifest(str(path)).rows
    with pytest.raises(RunAborted, match=r"cannot be read after row [1-9]"):
        list(rows)


def test_numbers_in_an_answer_become_strings_in_string_columns() -> None:
    answer = task_type("categorization").response.model_validate({"category": 7, "category_id": ["1"]})
    assert answer.model_dump() == {"category": ["7"], "category_id": ["1"]}
