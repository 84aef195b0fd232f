"""Manifests of every format: valid rows, invalid rows, invalid files."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.errors import InvalidInput
from labelflow.manifests import open_manifest
from labelflow.manifests.format import MAX_ROW_BYTES, MAX_TEXT

WHEN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def write(path: Path, content: bytes | str) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_json_lines(tmp_path: Path) -> None:
    uri = write(tmp_path / "m.jsonl", '\ufeff{"id": "001", "n": 1}\r\n\n{"id": "2", "tags": ["ü"]}\n')
    manifest = open_manifest(uri)
    assert [(row.number, row.values) for row in manifest.rows] == [
        (1, {"id": "001", "n": 1}),
        (2, {"id": "2", "tags": ["ü"]}),
    ]
    columns: dict[str, pa.DataType] = {"id": pa.string(), "n": pa.int64(), "tags": pa.list_(pa.string())}
    assert manifest.schema == pa.schema(columns)


def test_csv_keeps_leading_zeros_quotes_and_empty_cells(tmp_path: Path) -> None:
    uri = write(tmp_path / "m.csv", '\ufeffid,text,note\r\n007,"a, ""b""\nc",\r\n')
    rows = list(open_manifest(uri).rows)
    assert [row.values for row in rows] == [{"id": "007", "text": 'a, "b"\nc', "note": None}]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "at": pa.array([WHEN, None], pa.timestamp("ms", "UTC")), "l": [["a"], []]})
    pq.write_table(table, tmp_path / "m.parquet")
    manifest = open_manifest(str(tmp_path / "m.parquet"))
    assert manifest.schema.field("at").type == pa.timestamp("ms", "UTC")
    first = next(manifest.rows)
    assert (first.number, first.values["id"], first.values["l"]) == (1, 1, ["a"])


BAD_ROWS: list[tuple[str, bytes, int, str]] = [
    ("m.jsonl", b'{"id": 1}\n{"id": 2\n{"id": 3}\n', 2, "not valid JSON"),
    ("m.jsonl", b'{"id": 1}\n[2]\n{"id": 3}\n', 2, "not an object"),
    ("m.jsonl", b'{"id": 1}\n{"id": "\xff"}\n{"id": 3}\n', 2, "not UTF-8"),
    ("m.jsonl", b'{"id": 1}\n{"id": 2}\n{"id": 3', 3, "not valid JSON"),
    ("m.csv", b"id,a\n1,x\n2\n3,y\n", 2, "1 cells, expected 2"),
    ("m.csv", b"id,a\n1,x\n2,y,z\n3,y\n", 2, "3 cells, expected 2"),
    ("m.csv", b"id,a\n1,x\n2,\xff\n3,y\n", 2, "not UTF-8"),
    ("m.csv", b'id,a\n1,x\n2,y\n3,"y\n', 3, "cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "number", "reason"), BAD_ROWS)
def test_invalid_row_is_rejected_alone(tmp_path: Path, name: str, content: bytes, number: int, reason: str) -> None:
    rows = list(open_manifest(write(tmp_path / name, content)).rows)
    assert [row.number for row in rows] == [1, 2, 3]
    invalid = [row for row in rows if row.problem]
    assert [row.number for row in invalid] == [number]
    assert invalid[0].problem is not None
    assert reason in invalid[0].problem.reason


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("m.jsonl", b"", "has no rows"),
    ("m.jsonl", b"\n\n", "has no rows"),
    ("m.jsonl", b"[1]", "not an array of JSON objects: its first element is JSON, but not an object"),
    ("m.json", b'[{"id": 1}, {"id": 2}', "it ends before its last ]"),
    ("m.json", b'[{"id": 1}] {"id": 2}', "has more content after its last ]"),
    ("m.json", b'{\n  "id": 1\n}', "not a JSON Lines file"),
    ("m.parquet.gz", gzip.compress(b"PAR1", mtime=0), "not a readable Parquet"),
    ("m.jsonl.gz", gzip.compress(b'{"id": 1}\n' * 5000, mtime=0)[:-9], "cannot be read .*runcated"),
    ("m.jsonl.zst", b"\x28\xb5\x2f\xfd and then nothing", "cannot be read"),
    ("m.jsonl", b"PAR1", "not a JSON Lines file"),
    ("m.jsonl", '{"id": 1}'.encode("utf-16"), "UTF-16"),
    ("m.csv", b"", "has no rows"),
    ("m.csv", b"id,a\n", "has no rows"),
    ("m.csv", b"id,id\n1,2\n", "two columns named 'id'"),
    ("m.csv", "id,a\n1,2\n".encode("utf-16"), "not UTF-8"),
    ("m.csv", b'id,a\n1,x\n2,"b\n3,c\n4,d\n', "lines 3 to 5 are inside it; fix line 3"),
    ("m.parquet", b"", "not a readable Parquet"),
    ("m.parquet", b"PAR1 and then nothing", "not a readable Parquet"),
    ("m.txt", b"a", r"\.jsonl.* \.gz or \.zst"),
    ("m", b"some\nlines, of text\n", "unknown format"),
    ("m.html", b"<html>, not found\n", "unknown format"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BAD_FILES)
def test_invalid_file_is_named_with_the_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    uri = write(tmp_path / name, content)
    with pytest.raises(InvalidInput, match=reason) as caught:
        open_manifest(uri)
    assert str(caught.value).startswith(uri)


def test_parquet_string_that_is_not_utf8_rejects_only_its_row(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff", b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": texts}), tmp_path / "m.parquet")
    rows = list(open_manifest(str(tmp_path / "m.parquet")).rows)
    assert [(row.number, row.problem is None) for row in rows] == [(1, True), (2, False), (3, True)]


def test_parquet_file_with_a_corrupt_column_name(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"column": [1]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"column", b"c\xfflumn"))
    with pytest.raises(InvalidInput, match="not a readable Parquet"):
        open_manifest(str(path))


def test_overlong_line_is_one_row(tmp_path: Path) -> None:
    long = b'{"id": 2, "text": "' + b"x" * (2 * MAX_ROW_BYTES) + b'"}'
    rows = list(open_manifest(write(tmp_path / "m.jsonl", b'{"id": 1}\n' + long + b'\n{"id": 3}\n')).rows)
    assert [(row.number, row.problem is None) for row in rows] == [(1, True), (2, False), (3, True)]


def test_parquet_file_with_a_duplicate_column(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["id", "id"]), tmp_path / "m.parquet")
    with pytest.raises(InvalidInput, match="two columns named 'id'"):
        open_manifest(str(tmp_path / "m.parquet"))


def test_truncated_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"id": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match="not a readable Parquet"):
        open_manifest(str(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        open_manifest(str(tmp_path / "none.jsonl"))


def test_large_file_is_read_lazily(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": number}) + "\n" for number in range(5000))
    manifest = open_manifest(write(tmp_path / "m.jsonl", lines))
    assert [row.number for row in manifest.rows] == list(range(1, 5001))


@pytest.mark.parametrize(
    ("values", "inferred"),
    [
        ([1, 2], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([True, None], pa.bool_()),
        ([1, "x"], pa.string()),
        ([None, None], pa.string()),
        ([{"a": 1}, {"a": 2}], pa.struct([("a", pa.int64())])),
        ([{}, None], pa.string()),
        ([[], []], pa.string()),
        ([2**63, 1], pa.string()),
    ],
)
def test_types_are_inferred_from_values(tmp_path: Path, values: list[Any], inferred: pa.DataType) -> None:
    lines = "".join(json.dumps({"v": value}) + "\n" for value in values)
    assert open_manifest(write(tmp_path / "m.jsonl", lines)).schema.field("v").type == inferred


LARGE = "x" * (MAX_ROW_BYTES + 1)


def test_row_that_is_too_large_is_rejected_and_named(tmp_path: Path) -> None:
    files = {
        "m.jsonl": f'{{"id": "1"}}\n{{"id": "2", "text": "{LARGE}"}}\n{{"id": "3"}}\n',
        "first.jsonl": f'{{"id": "0", "text": "{LARGE}"}}\n{{"id": "1"}}\n',
        "m.csv": f"id,text\n1,a\n2,{LARGE}\n3,c\n",
        "quoted.csv": f'id,text\n1,a\n2,"{LARGE}"\r\n3,"c\nd"\n',
    }
    for name, content in files.items():
        rows = list(open_manifest(write(tmp_path / name, content)).rows)
        number = 1 if name == "first.jsonl" else 2
        assert [row.number for row in rows if row.problem] == [number], name
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        problem = rows[number - 1].problem
        assert problem
        assert (problem.field, problem.reason) == ("(line)", "is larger than 4 MiB")
        text = rows[number - 1].text or ""
        assert 0 < len(text) <= MAX_TEXT
        assert text.startswith(('{"id": "', "2,"))


def test_large_file_without_lines_is_not_json_lines(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a JSON Lines file: its first line is larger than 4 MiB"):
        open_manifest(write(tmp_path / "m.jsonl", LARGE))


def test_csv_header_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has a first line that is too large"):
        open_manifest(write(tmp_path / "m.csv", f"id,{LARGE}\n1,2\n"))


def test_quote_that_is_not_closed_is_reported_with_its_lines(tmp_path: Path) -> None:
    lines = ("y" * 1000 + "\n") * (MAX_ROW_BYTES // 500)
    with pytest.raises(InvalidInput, match=r"unclosed or misplaced quote: lines 3 to [0-9]+ are inside it"):
        open_manifest(write(tmp_path / "m.csv", f'id,text\n1,a\n2,"{lines}'))


@pytest.mark.parametrize("encoding", ["dictionary", "PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_parquet_row_that_is_too_large_is_rejected_with_its_id(tmp_path: Path, encoding: str) -> None:
    table = pa.table({"id": ["1", "2", "3"], "text": ["a", LARGE, "c"], "list": [["b", "b"], ["b"], None]})
    options = {} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": {"text": encoding}}
    pq.write_table(table, tmp_path / "m.parquet", **options)  # type: ignore[arg-type]
    rows = list(open_manifest(str(tmp_path / "m.parquet")).rows)
    assert [row.values["id"] for row in rows] == ["1", "2", "3"]
    assert [row.problem and row.problem.reason for row in rows] == [None, "is larger than 4 MiB", None]
    assert rows[0].values == {"id": "1", "text": "a", "list": ["b", "b"]}


def test_parquet_types_with_texts_are_read_unchanged(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "view": pa.array(["x", None], pa.string_view()),
        "large": pa.array(["x", None], pa.large_string()),
        "category": pa.array(["x", None]).dictionary_encode(),
        "binary": pa.array([b"x", None]),
        "fixed": pa.array([b"xy", None], pa.binary(2)),
        "map": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        "struct": pa.array([{"a": "x", "b": ["y"]}, None]),
        "pair": pa.array([["x", "y"], None], pa.list_(pa.string(), 2)),
        "null": pa.nulls(2),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "m.parquet")
    manifest = open_manifest(str(tmp_path / "m.parquet"))
    assert [row.values for row in manifest.rows] == table.to_pylist()
    assert manifest.schema.remove_metadata() == pq.read_schema(tmp_path / "m.parquet").remove_metadata()


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_file_with_an_unknown_time_zone_is_refused(tmp_path: Path, nested: bool) -> None:
    kind = pa.timestamp("ms", tz="Mars/Phobos")
    column = pa.array([[{"at": 0}]], pa.list_(pa.struct([("at", kind)]))) if nested else pa.array([0], kind)
    pq.write_table(pa.table({"id": ["a"], "taken": column}), tmp_path / "m.parquet")
    with pytest.raises(
        InvalidInput, match=r"column 'taken' has the time zone 'Mars/Phobos', which is unknown; write it"
    ):
        open_manifest(str(tmp_path / "m.parquet"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("id;a\n1;b;c\n", "has 3 cells, expected 2; the separator is a semicolon; write one cell per column"),
        ('id,a\n1,"say \\"a, b\\" c"\n', r'double each quote inside a value, instead of \\": in Spark with option'),
    ],
)
def test_message_names_the_dialect(tmp_path: Path, content: str, problem: str) -> None:
    [row] = open_manifest(write(tmp_path / "m.csv", content.encode())).rows
    assert re.search(problem, str(row.problem))


def test_nan_in_json_lines_is_null(tmp_path: Path) -> None:
    lines = [
        b'{"id": "a", "score": NaN, "text": "is NaN, -Infinity"}',
        b'{"id": "b", "score": -Infinity, "n": 80241446968629130001}',
    ]
    content = b"\n".join(lines)
    first, second = open_manifest(write(tmp_path / "m.jsonl", content)).rows
    assert first.values == {"id": "a", "score": None, "text": "is NaN, -Infinity"}
    assert second.values == {"id": "b", "score": None, "n": 80241446968629130001}


def test_int96_time_of_the_year_9999(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "at": pa.array([253402214400], pa.timestamp("s"))})
    pq.write_table(table, tmp_path / "m.parquet", use_deprecated_int96_timestamps=True)
    [row] = open_manifest(str(tmp_path / "m.parquet")).rows
    assert row.values["at"] == datetime(9999, 12, 31)
