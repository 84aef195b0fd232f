"""Malformed manifests: every row has one outcome, and rejects can be fixed and used as a manifest again."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelflow.errors import LabelflowError
from labelflow.jobs.job import Job
from labelflow.manifests import open_manifest
from labelflow.outputs import rejects
from labelflow.outputs.folders import REJECTS_FILE
from labelflow.planning.plan import Plan
from labelflow.records import RejectedRow
from labelflow.scale.client import ScaleClient
from labelflow.tables.storable_types import to_json_value
from tests.properties.conftest import case_folder, cases, check_readable, time_limit
from tests.properties.strategies import anything, numbers, scalars, strings, timestamps
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

SECONDS = 20.0  # for one manifest
FILLERS = 1000  # rows from which the types of a manifest are inferred
FILLER = b'{"id":"f%d","text":"fine","n":1,"tags":["a"],"box":{"x":1}}'
BOM = b"\xef\xbb\xbf"

keys = st.sampled_from(["id", "text", "n", "tags", "box", "late", "reject_text", "reject_row", "a.b", "", "ü", "\x00"])
row_ids: st.SearchStrategy[Any] = (
    st.sampled_from(["1", "2", "3", 1, 2, 2.0, 2.5, "", " ", None, True, 2**63, [], "é" * 300]) | anything
)
column_values: dict[str, st.SearchStrategy[Any]] = {
    "id": row_ids,
    "text": st.sampled_from(["one", "two", " "]) | anything,
    "n": numbers | scalars,
    "tags": st.lists(strings, max_size=3) | anything,
    "box": st.dictionaries(st.sampled_from(["x", "y", "z"]), scalars, max_size=3) | anything,
}


def value_of(draw: st.DrawFn, column: str, invalid: bool) -> Any:
    """A value for a column; most are valid, so that some rows are valid."""
    if invalid or draw(st.integers(0, 5)) == 0:
        return draw(column_values.get(column, anything))
    valid = {"id": st.uuids().map(str), "text": st.just("fine"), "n": st.integers(0, 9), "tags": st.just(["a"])}
    return draw(valid.get(column, st.just({"x": 1})))


def corrupt(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some of them removed, and others inserted."""
    start = draw(st.integers(0, len(content)))
    inserted = st.sampled_from(
        [b"\xff", b"\xed\xa0\x80", b"\x00", b'"', b",", b"\n", b"\r", b"\r\n", b"{", b"}", b"\\", BOM]
    )
    return content[:start] + draw(inserted | st.binary(max_size=4)) + content[start + draw(st.integers(0, 9)) :]


def with_surroundings(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    """The lines as a file, with or without a byte order mark and a final line end."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\n", b"\n\n"]))
    return draw(st.sampled_from([b"", b"", BOM])) + end.join(lines) + draw(st.sampled_from([b"", end]))


@st.composite
def json_lines(draw: st.DrawFn) -> bytes:
    """A file of JSON Lines; if it starts with FILLERS, types are inferred without its malformed lines."""
    lines = [b"FILLERS" if draw(st.integers(0, 9)) == 0 else FILLER % 0]
    for _ in range(draw(st.integers(0, 8))):
        is_malformed = draw(st.integers(0, 2)) == 0
        row = {name: value_of(draw, name, is_malformed) for name in column_values if draw(st.integers(0, 9))}
        row |= draw(st.dictionaries(keys, anything, max_size=2)) if is_malformed else {}
        line = json.dumps(row, allow_nan=draw(st.booleans()) or True, ensure_ascii=draw(st.booleans()))
        content = line.encode("utf-8", "surrogatepass")
        lines.append(corrupt(draw, content) if draw(st.integers(0, 4)) == 0 else content)
    return with_surroundings(draw, lines)


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """A CSV file."""
    header = ["id", "text", "n", "tags", "box", *draw(st.lists(keys | strings, max_size=2))]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))
    rows: list[list[Any]] = [header, ["f", "fine", 1, "a", "x"] + [""] * (len(header) - 5)]
    for _ in range(draw(st.integers(0, 8))):
        row = [value_of(draw, name, draw(st.integers(0, 3)) == 0) for name in header]
        rows.append(row[: draw(st.integers(0, len(row)))] if draw(st.integers(0, 6)) == 0 else row)
    for row in rows:
        writer.writerow([cell.replace("\x00", "") if isinstance(cell, str) else cell for cell in row])
    lines = file.getvalue().encode("utf-8", "surrogatepass").split(b"\n")
    return with_surroundings(draw, [corrupt(draw, line) if draw(st.integers(0, 6)) == 0 else line for line in lines])


arrow_types: st.SearchStrategy[Any] = st.sampled_from(
    [
        pa.string(),
        pa.large_string(),
        pa.int64(),
        pa.uint8(),
        pa.float64(),
        pa.float32(),
        pa.bool_(),
        pa.binary(),
        pa.date32(),
        pa.timestamp("ns"),
        pa.timestamp("ms", "UTC"),
        pa.time64("us"),
        pa.duration("s"),
        pa.decimal128(9, 2),
        pa.list_(pa.string()),
        pa.list_(pa.struct([("x", pa.int64())])),
        pa.struct([("x", pa.float64())]),
        pa.map_(pa.string(), pa.int64()),
        pa.dictionary(pa.int8(), pa.string()),
        pa.null(),
    ]
)


@st.composite
def parquet_files(draw: st.DrawFn) -> bytes:
    """A Parquet file with columns of any type; sometimes corrupted or truncated."""
    count = draw(st.integers(0, 6))
    columns: dict[str, pa.Array[Any]] = {}
    for name in ["id", "text", "n", "tags", "box", *draw(st.lists(keys, max_size=2))]:
        kind: pa.DataType | None = draw(arrow_types) if draw(st.integers(0, 2)) == 0 else None
        columns[name] = column_of(draw, name, kind, count)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="none", row_group_size=draw(st.sampled_from([1, 3, 100])))
    content = sink.getvalue().to_pybytes()
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 3]))):
        content = corrupt(draw, content)
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 19)) == 0 else content


def column_of(draw: st.DrawFn, name: str, kind: pa.DataType | None, count: int) -> pa.Array[Any]:
    """Values of a type, or of an inferred type."""
    arbitrary = (
        st.sampled_from([0, 1, 2.5, True, "1", b"\xff", "é", [], ["a"], [{"x": 1}], {"x": 2.0}, [("k", 1)]])
        | timestamps
    )
    values = [
        draw(arbitrary | st.none()) if kind else value_of(draw, name, draw(st.integers(0, 9)) == 0)
        for _ in range(count)
    ]
    convertible: list[Any] = []
    for value in values:
        try:
            pa.array([*convertible, value], kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            value = None
        convertible.append(value)
    column = pa.array(convertible, kind)
    is_empty_struct = "struct<>" in str(column.type)  # not supported by Parquet
    return pa.nulls(count, pa.string()) if is_empty_struct else column


manifests = st.one_of(
    st.tuples(st.just("jsonl"), json_lines()),
    st.tuples(st.just("csv"), csv_files()),
    st.tuples(st.just("parquet"), parquet_files()),
    st.tuples(st.sampled_from(["jsonl", "csv", "parquet"]), st.binary(max_size=100)),
)
tasks: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"task__attachment": "{text}"},
        {"task__attachment": "{id}: {text} {n}"},
        {"task__attachment": "{text}", "metadata": ["n", "tags", "box"]},
        {"task__attachment": "{text}", "task__categories": "{tags}"},
        {"task__attachment": "{text}", "task__extra": "{box}", "metadata": ["n"]},
        {"task__attachment": "{text}", "task__extra": ["{n}", {"k": "{tags}"}], "metadata": ["box"]},
    ]
)


def with_fillers(content: bytes) -> bytes:
    """The file with FILLERS replaced by valid rows."""
    return content.replace(b"FILLERS", b"\n".join(FILLER % number for number in range(FILLERS)))


def job_for(folder: Path, suffix: str, content: bytes, changes: dict[str, Any]) -> Job:
    """A job with these bytes as its manifest."""
    path = folder / f"manifest.{suffix}"
    path.write_bytes(with_fillers(content))
    return make_job(folder, **{"manifest__uri": str(path), "max_unlabeled": 1.0, **changes})


def plan_job(job: Job) -> Plan | None:
    """A plan with all rows checked; None if there was an error message."""
    try:
        with time_limit(SECONDS), closing(Plan(job)) as plan:
            prepared = [row for chunk in plan.chunks() for row in plan.check(chunk)[0]]
    except LabelflowError as error:
        check_readable(str(error))
        return None
    numbers = sorted([row.row.number for row in prepared] + [reject.row.number for reject in plan.unsubmitted.rejected])
    assert numbers == list(range(1, plan.progress.read + 1)), "a row is lost, or in two outcomes"
    assert len({row.row_id for row in prepared}) == len(prepared)
    for row in prepared:
        orjson.dumps([row.params, row.common])
        assert len(row.unique_id) <= 300
    return plan


def same_value(before: Any, after: Any) -> bool:
    """Whether two values are equal, also if the second one is JSON text of the first."""
    if isinstance(after, str) and not isinstance(before, str):
        return bool(orjson.loads(after) == to_json_value(before)) if after else False
    if isinstance(before, dict) and isinstance(after, dict):
        return all(same_value(value, after.get(key)) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(same_value, before, after))
    return bool(before == after) or (before != before and after != after)


def check_rejects(plan: Plan) -> Plan | None:
    """The rejects file has one row for each rejected row, nothing of it is lost, and it is a manifest."""
    rejects.write_rejects(plan.context.folder, plan.unsubmitted.rejected, plan.manifest.schema)
    if not plan.unsubmitted.rejected:
        return None
    uri = f"{plan.context.folder.uri}/{REJECTS_FILE}"
    ordered = sorted(plan.unsubmitted.rejected, key=lambda reject: reject.row.number)
    rows = [row.values for row in open_manifest(uri).rows]
    assert [row["reject_row"] for row in rows] == [reject.row.original_number for reject in ordered]
    for reject, row in zip(ordered, rows, strict=True):
        check_reject(reject, row)
    job = plan.context.job.model_copy(
        update={
            "manifest": plan.context.job.manifest.model_copy(update={"uri": uri}),
            "output": f"{plan.context.job.output}-again",
        }
    )
    again = plan_job(job)
    assert again is not None, "the rejects are no manifest"
    assert again.progress.read == len(plan.unsubmitted.rejected)
    return again


def text_column(reject: RejectedRow) -> str | None:
    """The value of `reject_text`, if the manifest was a rejects file."""
    text = reject.row.values.get("reject_text")
    return text if isinstance(text, str) else None


def check_reject(reject: RejectedRow, row: Any) -> None:
    """Check that a row of the rejects file has a reason, and all values of the manifest's row."""
    check_readable(str(reject.problem))
    assert row["reject_reason"]
    assert row["reject_fix"]
    for name, value in reject.row.values.items():
        if value is not None and not name.startswith("reject_"):
            assert same_value(value, row[name]), f"{name}: expected {value!r}, got {row[name]!r}"
    if reject.problem.field == "(line)":
        assert row["reject_text"], "the text of the line is missing"


@cases(default=80, share=0.85)
@given(manifest=manifests, changes=tasks)
def test_every_row_has_one_outcome_and_its_reject_can_be_fixed(
    manifest: tuple[str, bytes], changes: dict[str, Any]
) -> None:
    with case_folder() as folder:
        suffix, content = manifest
        plan = plan_job(job_for(folder, suffix, content, changes))
        if plan is None:
            return
        if suffix == "jsonl":
            lines = with_fillers(content).removeprefix(BOM).split(b"\n")
            assert plan.progress.read == sum(bool(line) and not line.isspace() for line in lines)
        again = check_rejects(plan)
        if again is not None and again.unsubmitted.rejected:
            texts = [reject.row.text or text_column(reject) for reject in plan.unsubmitted.rejected]
            third = check_rejects(again)
            assert third is not None
            kept = pq.read_table(folder / "out-again" / REJECTS_FILE)["reject_text"].to_pylist()
            assert [text for text in kept if text] == [text for text in texts if text]


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running_in_process() as url:
        yield url


@cases(default=10, share=0.15)
@given(manifest=manifests, changes=tasks)
def test_run_accounts_for_every_row_and_creates_one_task_per_valid_row(
    api: str, manifest: tuple[str, bytes], changes: dict[str, Any]
) -> None:
    key = f"test_{uuid.uuid4().hex}"
    with case_folder() as folder, mock.patch.dict(os.environ, {"SCALE_API_KEY": key}), ScaleClient(key, api) as client:
        job = job_for(folder, *manifest, {**changes, "scale__url": api, "collect__poll_interval": "0.2s"})
        try:
            with time_limit(SECONDS):
                summary = label(job)
        except LabelflowError as error:
            check_readable(str(error))
            assert not list(client.list_tasks()), "tasks were created"
            return
        tasks = [task.metadata["row_id"] for task in client.list_tasks()]
        assert len(tasks) == len(set(tasks)) == summary.created == summary.labeled
        assert summary.rows == summary.labeled + summary.rejected
        file = folder / "out" / REJECTS_FILE
        assert (pq.read_metadata(file).num_rows if file.exists() else 0) == summary.rejected
        assert pq.read_table(folder / "out" / "labels").num_rows == summary.labeled if summary.labeled else True
        again = label(job)
        assert (again.created, again.labeled, again.rejected) == (0, summary.labeled, summary.rejected)
