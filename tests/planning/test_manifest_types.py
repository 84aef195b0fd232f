"""Types of other tools in a manifest: ids and parameters, from the file to the created task."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from labelflow.errors import InvalidInput
from labelflow.planning.plan import Plan
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

UUIDS = [uuid.UUID(int=number) for number in (1, 2**100)]


def write(folder: Path, ids: pa.Array[Any], **columns: Any) -> None:
    pq.write_table(pa.table({"id": ids, "text": ["a"] * len(ids), **columns}), folder / "manifest.parquet")


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (pa.array([value.bytes for value in UUIDS], pa.uuid()), [str(value) for value in UUIDS]),
        (pa.array([Decimal(7), Decimal(10) ** 37], pa.decimal128(38, 0)), ["7", "1" + "0" * 37]),
        (pa.array([Decimal("7.00"), Decimal("8.00")], pa.decimal128(9, 2)), ["7", "8"]),
        (pa.array([2**63, 2**64 - 1], pa.uint64()), [str(2**63), str(2**64 - 1)]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
    ids=["uuid", "decimal(38, 0)", "decimal(9, 2)", "uint64", "dictionary"],
)
def test_ids_keep_their_text_and_their_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: pa.Array[Any], texts: list[str]
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_types")
    write(tmp_path, ids)
    with running_in_process() as url:
        job = make_job(tmp_path, manifest__uri=str(tmp_path / "manifest.parquet"), scale__url=url)
        assert label(job).labeled == 2
        assert label(job).created == 0
        tasks = requests.get(f"{url}/tasks", auth=("test_types", ""), timeout=10).json()["docs"]
    assert sorted(task["metadata"]["row_id"] for task in tasks) == sorted(texts)
    [part] = (tmp_path / "out" / "labels").glob("*.parquet")
    labels = pq.read_table(part)
    assert set(labels["row_id"].to_pylist()) == set(texts)
    assert labels.schema.field("source").type.field("id").type is not None


def test_map_of_parquet_becomes_the_fields_of_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_types")
    questions = pa.array([[("color", "Which color?"), ("make", "Which make?")]], pa.map_(pa.string(), pa.string()))
    write(tmp_path, pa.array(["a"]), questions=questions)
    task = {
        "type": "datacollection",
        "instruction": "Find the car.",
        "attachment_type": "text",
        "attachment": "{text}",
        "fields": "{questions}",
    }
    with running_in_process() as url:
        job = make_job(tmp_path, manifest__uri=str(tmp_path / "manifest.parquet"), scale__url=url, task=task)
        label(job)
        [sent] = requests.get(f"{url}/tasks", auth=("test_types", ""), timeout=10).json()["docs"]
    assert sent["params"]["fields"] == {"color": "Which color?", "make": "Which make?"}


@pytest.mark.parametrize(
    ("header", "separator", "columns"),
    [("id;text,x", "a comma", "id;text, x"), ("text;x", "a semicolon", "text, x"), ("text\tx", "a tab", "text, x")],
)
def test_message_about_a_missing_column_names_the_separator(
    tmp_path: Path, header: str, separator: str, columns: str
) -> None:
    (tmp_path / "manifest.csv").write_text(f"{header}\n{header.replace('id', '1')}\n")
    with pytest.raises(InvalidInput) as refused:
        Plan(make_job(tmp_path, manifest__uri=str(tmp_path / "manifest.csv")))
    expected = f"the column 'id', which is not in the manifest (the separator is {separator}); use one of {columns}"
    assert expected in str(refused.value)


def test_message_about_a_missing_column_of_json_has_no_separator(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"text": "a"}) + "\n")
    with pytest.raises(InvalidInput, match="names the column 'id', which is not in the manifest; use one of text"):
        Plan(make_job(tmp_path))
