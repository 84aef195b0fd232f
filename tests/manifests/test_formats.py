"""What a file is: its compression, its format and its separator, whatever its name."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.errors import InvalidInput, RunAborted
from labelflow.manifests import compression, json_elements, open_manifest
from labelflow.manifests.format import MAX_ROW_BYTES

ROWS = [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
PARQUET = io.BytesIO()
pq.write_table(pa.Table.from_pylist(ROWS), PARQUET)
CONTENTS = {
    ".jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
    ".ndjson": "\n".join(map(json.dumps, ROWS)).encode(),
    ".json": json.dumps(ROWS, indent=2).encode(),
    ".csv": b"id,text\r\n1,a\r\n2,b\r\n",
    ".tsv": b"id\ttext\n1\ta\n2\tb\n",
    ".parquet": PARQUET.getvalue(),
}


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def values(path: Path) -> list[Any]:
    return [row.values for row in open_manifest(str(path)).rows]


@pytest.mark.parametrize("suffix", CONTENTS)
@pytest.mark.parametrize("name", ["m{}", "m{}.gz", "m{}.zst", "m.manifest", "m", "m.dat"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd])
def test_content_decides_where_the_name_does_not(tmp_path: Path, suffix: str, name: str, compress: Any) -> None:
    if name == "m.manifest" and suffix not in (".jsonl", ".json"):
        pytest.skip("the suffix says what it is")
    path = tmp_path / name.format(suffix)
    path.write_bytes(compress(CONTENTS[suffix]))
    assert values(path) == ROWS


@pytest.mark.parametrize(("first", "second"), [(gzip.compress, gzip.compress), (zstd, zstd)])
def test_compressed_files_that_were_concatenated_are_one_file(tmp_path: Path, first: Any, second: Any) -> None:
    path = tmp_path / "m.jsonl.gz"
    path.write_bytes(first(b'{"id": 1}\n') + second(b'{"id": 2}\n'))
    assert values(path) == [{"id": 1}, {"id": 2}]


def test_compressed_file_that_is_truncated_ends_the_run_and_names_the_row(tmp_path: Path) -> None:
    lines = b"".join(b'{"id": "%d", "text": "%s"}\n' % (n, bytes(str(n * 7919), "ascii") * 9) for n in range(40_000))
    path = tmp_path / "m.jsonl.gz"
    path.write_bytes(gzip.compress(lines)[:-2000])
    with pytest.raises(RunAborted, match=r"m\.jsonl\.gz: cannot be read after row [0-9]{4}"):
        values(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_decompression_bomb_does_not_fill_the_memory(tmp_path: Path, suffix: str, compress: Any) -> None:
    head = {".jsonl": b'{"id": "', ".json": b'[{"id": "', ".csv": b"id,text\n1,"}[suffix]
    path = tmp_path / f"m{suffix}"
    path.write_bytes(compress(head + b"x" * (256 << 20)))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with suppress(InvalidInput):  # an array that does not end
        assert values(path) == [{}]
    assert tracemalloc.get_traced_memory()[1] < 8 * MAX_ROW_BYTES
    assert pa.total_allocated_bytes() - before < 8 * MAX_ROW_BYTES
    tracemalloc.stop()


def test_compressed_parquet_file_is_copied_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.parquet.gz"
    path.write_bytes(gzip.compress(CONTENTS[".parquet"]))
    assert values(path) == ROWS
    monkeypatch.setattr(compression, "MAX_COPY_BYTES", 100)
    with pytest.raises(InvalidInput, match="after decompression; decompress it, or divide it"):
        open_manifest(str(path))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m"])
def test_separator_is_detected(tmp_path: Path, separator: str, name: str) -> None:
    path = tmp_path / name
    cells = [["id", "text"], ["1", "a, b; c | d"], ["2", "5,5;6,6"]]
    path.write_text("".join(separator.join([row[0], f'"{row[1]}"']) + "\n" for row in cells))
    assert values(path) == [{"id": "1", "text": "a, b; c | d"}, {"id": "2", "text": "5,5;6,6"}]


def test_separator_in_the_texts_of_a_column_is_not_taken_for_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("id,a|b|c\n1,x\n2,y\n")
    assert values(path) == [{"id": "1", "a|b|c": "x"}, {"id": "2", "a|b|c": "y"}]


def test_line_that_names_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("\ufeffsep=;\r\nid;text\r\n1;a,b\r\n")
    assert values(path) == [{"id": "1", "text": "a,b"}]
    path.write_text('\ufeffsep=;\r\nid;text\r\n1;a,b\r\n2;"c\r\nd\r\n')
    with pytest.raises(InvalidInput, match="lines 4 to 5 are inside it; fix line 4"):
        open_manifest(str(path))


def test_array_of_objects_rejects_only_its_bad_elements(tmp_path: Path) -> None:
    long = '{"id": "' + "x" * (MAX_ROW_BYTES + 1) + '"}'
    path = tmp_path / "m.json"
    path.write_text('[{"id": 1}, {"id": "a]}\\"[" , "l": [1, {"m": ","}]}, 7, {"id": 1 2}, ' + long + ', {"id": 6}]\n')
    rows = list(open_manifest(str(path)).rows)
    assert [(row.number, row.problem and row.problem.reason) for row in rows] == [
        (1, None),
        (2, None),
        (3, "is JSON, but not an object"),
        (4, rows[3].problem and rows[3].problem.reason),
        (5, "is larger than 4 MiB"),
        (6, None),
    ]
    assert "not valid JSON" in str(rows[3].problem)
    assert rows[1].values == {"id": 'a]}"[', "l": [1, {"m": ","}]}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_array_is_divided_the_same_way_whatever_the_chunks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_elements, "CHUNK_BYTES", size)
    array = [{"a": 'x"\\', "b": ["[", {"c": "}"}]}, [], "ü,", 1, None, {"d": "\\\\"}]
    for indent in (None, 2):
        found = json_elements.array_elements(io.BytesIO(json.dumps(array, indent=indent).encode() + b" \n"), 1000)
        assert [json.loads(element) for element in found] == array
    assert list(json_elements.array_elements(io.BytesIO(b"[ ]"), 10)) == []


def test_augmented_manifest_of_ground_truth(tmp_path: Path) -> None:
    rows = [
        {
            "source-ref": f"s3://bucket/{number}.jpg",
            "street": 1,
            "street-metadata": {"class-name": "car", "confidence": 0.5, "human-annotated": "yes", "type": "x"},
        }
        for number in range(3)
    ]
    path = tmp_path / "output.manifest"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = open_manifest(str(path))
    assert [row.values for row in manifest.rows] == rows
    assert manifest.schema.names == ["source-ref", "street", "street-metadata"]
