"""Whatever the manifest carries can be recorded; what cannot be recorded stops the run, and the next run finds it."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from labelflow.errors import NotRecorded
from labelflow.ledger import ledger
from labelflow.planning import chunk
from labelflow.scale.client import ScaleClient
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

KEY = "test_recording"
ROWS = 6
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", 2)], []]),
    "map of integers": (pa.map_(pa.int32(), pa.string()), [[(1, "x")], None]),
    "nested map": (pa.map_(pa.string(), pa.map_(pa.string(), pa.int8())), [[("a", [("b", 1)])], None]),
    "list of maps": (pa.list_(pa.map_(pa.string(), pa.int8())), [[[("a", 1)], []], None]),
    "struct with a map": (pa.struct([("m", pa.map_(pa.string(), pa.int8()))]), [{"m": [("a", 1)]}, None]),
    "list of structs": (pa.list_(pa.struct([("x", pa.float64()), ("s", pa.string())])), [[{"x": 1.5, "s": "y"}], []]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), ["a", None]),
    "decimal256": (pa.decimal256(60, 2), [decimal.Decimal("1" * 50 + ".25"), None]),
    "duration": (pa.duration("us"), [dt.timedelta(days=1, microseconds=7), None]),
    "time64": (pa.time64("us"), [dt.time(12, 30, 1, 7), None]),
    "float16": (pa.float16(), [1.5, None]),
    "float32": (pa.float32(), [1.5, None]),
    "uint64": (pa.uint64(), [2**64 - 1, None]),
    "binary": (pa.binary(), ["café".encode(), None]),
    "fixed-size binary": (pa.binary(3), [b"abc", None]),
    "UUID": (pa.uuid(), [uuid.UUID(int=7), None]),
    "date": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "timestamp": (pa.timestamp("us", "Europe/Berlin"), [dt.datetime(2026, 3, 29, 3, 30, tzinfo=dt.UTC), None]),
    "large string": (pa.large_string(), ["a", None]),
    "string view": (pa.string_view(), ["a", None]),
    "fixed-size list": (pa.list_(pa.int8(), 2), [[1, 2], None]),
    "null": (pa.null(), [None, None]),
}


def write_manifest(path: Path, kind: pa.DataType, values: Sequence[Any]) -> None:
    ids = [f"r{number}" for number in range(len(values))]
    columns: dict[str, Any] = {"id": ids, "text": ["a text"] * len(values), "extra": pa.array(values, kind)}
    pq.write_table(pa.table(columns), path)


def task_count(url: str) -> int:
    with ScaleClient(KEY, url) as client:
        return sum(1 for _ in client.list_tasks())


@pytest.mark.parametrize("name", COLUMNS)
def test_carried_column_of_any_type_is_recorded_and_in_labels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    kind, values = COLUMNS[name]
    manifest = tmp_path / "manifest.parquet"
    write_manifest(manifest, kind, values)
    with running_in_process() as url:
        job = make_job(tmp_path, scale={"url": url}, manifest__uri=str(manifest), metadata=["extra"])
        summary = label(job)
        assert (summary.labeled, summary.rejected, task_count(url)) == (2, 0, 2)
        assert label(job).created == 0
    labels = pq.read_table(Path(job.output) / "labels").sort_by("row_id")
    expected = pq.read_table(manifest)["extra"].to_pylist()
    stored = pc.struct_field(labels["source"], "extra").to_pylist()
    assert stored == [str(value) if isinstance(value, uuid.UUID) else value for value in expected]


def test_row_with_a_lone_surrogate_in_a_carried_column_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    lines = ['{"id": "r0", "text": "x", "extra": "fine"}', '{"id": "r1", "text": "x", "extra": "\\ud83d"}']
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    with running_in_process() as url:
        job = make_job(tmp_path, scale={"url": url}, metadata=["extra"], max_unlabeled=1.0)
        summary = label(job)
        assert (summary.labeled + summary.rejected, task_count(url)) == (2, summary.labeled)


def test_chunk_that_cannot_be_recorded_stops_the_run_and_the_next_run_finds_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    monkeypatch.setattr(chunk, "CHUNK_ROWS", 2)
    lines = [json.dumps({"id": f"r{number}", "text": "x"}) for number in range(ROWS)]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    with running_in_process() as url:
        job = make_job(tmp_path, scale={"url": url}, submit__max_tasks=ROWS)
        with monkeypatch.context() as broken:
            broken.setattr(ledger, "write_part", lambda *_: pa.array([1], pa.string()))
            with pytest.raises(NotRecorded, match="2 tasks were created and could not be recorded"):
                label(job)
        assert task_count(url) == 2, "the other chunks are not submitted"
        summary = label(job)
        assert (summary.recovered, summary.created, summary.labeled) == (2, ROWS - 2, ROWS)
        assert task_count(url) == ROWS
