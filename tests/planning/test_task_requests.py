"""The request of a row, its identity, and the problems of a row."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from labelflow.errors import InvalidInput
from labelflow.planning.plan import Plan
from labelflow.planning.requests.task_requests import MAX_UNIQUE_ID_CHARS, TaskRequestBuilder, unique_id
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from tests.support.jobs import make_job

COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "text": pa.string(),
    "n": pa.int64(),
    "labels": pa.list_(pa.string()),
}
SCHEMA = pa.schema(COLUMNS)
SIGNATURE = "X-Amz-Credential=AKIA&X-Amz-Signature=5e3c7ea1"
BOX_TASK = {"type": "annotation", "attachment": "{text}", "objects_to_annotate": "{labels}"}


def build_request(tmp_path: Path, columns: dict[str, Any], **changes: Any) -> PreparedRow | RejectedRow:
    return TaskRequestBuilder(make_job(tmp_path, **changes), SCHEMA).build(ManifestRow(1, columns))


def test_row_becomes_a_request(tmp_path: Path) -> None:
    bound = build_request(tmp_path, {"id": 7, "text": "hello", "n": 3}, metadata=["n"])
    assert isinstance(bound, PreparedRow)
    assert (bound.row_id, bound.unique_id) == ("7", "job/7")
    assert bound.params == {
        "instruction": "What is it about?",
        "attachment_type": "text",
        "attachment": "hello",
        "categories": ["a", "b"],
    }
    assert bound.source == {"id": "7", "n": 3}


def test_list_columns_and_s3_uris_are_kept(tmp_path: Path) -> None:
    bound = build_request(tmp_path, {"id": "1", "text": "s3://b/k.jpg", "labels": ["car"]}, task=BOX_TASK)
    assert isinstance(bound, PreparedRow)
    assert bound.params["objects_to_annotate"] == ["car"]
    assert [(a.uri, a.attachment_type) for a in bound.attachments] == [("s3://b/k.jpg", "image")]
    assert bound.params["attachment"] == "s3://b/k.jpg"


INVALID_ROWS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"id": None, "text": "x"}, {}, "id", "is null"),
    ({"id": "  ", "text": "x"}, {}, "id", "was ' '"),
    ({"id": 1.5, "text": "x"}, {}, "id", "was 1.5"),
    ({"id": True, "text": "x"}, {}, "id", "was True"),
    ({"id": f"https://b/k?{SIGNATURE}", "text": "x"}, {}, "id", "contains a signed URL"),
    ({"id": "1", "text": " "}, {}, "attachment", "is empty"),
    ({"id": "1", "text": None}, {}, "text", "is null"),
    ({"id": "1"}, {}, "text", "is missing"),
    ({"id": "1", "text": "ftp://x/y", "labels": ["a"]}, {"task": BOX_TASK}, "attachment", "ftp://"),
    ({"id": "1", "text": "https://x/y", "labels": list("abcdefg")}, {"task": BOX_TASK}, "objects_to_annotate", "has 7"),
    ({"id": "1", "text": "https://x/y", "labels": "car"}, {"task": BOX_TASK}, "objects_to_annotate", "got 'car'"),
    ({"id": "1", "text": "x", "n": "three"}, {"metadata": ["n"]}, "n", "'three'"),
    ({"id": "1", "text": "x", "n": 2**70}, {"metadata": ["n"]}, "n", "int64"),
]


@pytest.mark.parametrize(("values", "changes", "field", "reason"), INVALID_ROWS)
def test_reason_of_an_invalid_row_is_named(
    tmp_path: Path, values: dict[str, Any], changes: dict[str, Any], field: str, reason: str
) -> None:
    rejected = build_request(tmp_path, values, **changes)
    assert isinstance(rejected, RejectedRow)
    assert rejected.problem.field == field
    assert reason in rejected.problem.reason
    assert rejected.problem.fix


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"manifest__row_id": "key"}, "manifest.row_id names the column 'key'"),
        ({"metadata": ["camera"]}, "metadata names the column 'camera'"),
        ({"task__instruction": "Look at {picture}"}, "'picture'"),
    ],
)
def test_missing_manifest_column_ends_the_run(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        TaskRequestBuilder(make_job(tmp_path, **changes), SCHEMA)


def test_row_digest_depends_only_on_its_content(tmp_path: Path) -> None:
    def fingerprint(values: dict[str, Any], **changes: Any) -> str:
        bound = build_request(tmp_path, {"id": "1", "labels": ["car"], **values}, **changes)
        assert isinstance(bound, PreparedRow)
        return bound.fingerprint

    first = fingerprint({"text": "hello"})
    assert first == fingerprint({"text": "hello"}) == fingerprint({"text": "hello"}, task__urgency="week")
    assert first != fingerprint({"text": "hello!"})
    assert first != fingerprint({"text": "hello"}, task__instruction="Else?")
    signed = "https://b.example/k.jpg?v=1&X-Amz-Signature={}&X-Amz-Date=2026"
    assert fingerprint({"text": signed.format("a")}, task=BOX_TASK) == fingerprint(
        {"text": signed.format("b")}, task=BOX_TASK
    )
    for one, other in (("x?policy=a&expires=b", "x?policy=a&expires=c"), ("Open? A & B", "Open A  B")):
        assert fingerprint({"text": f"{one} {signed}"}) != fingerprint({"text": f"{other} {signed}"})


def test_job_that_frees_unique_ids_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path, task__clear_unique_id_on_error=True)
    with pytest.raises(InvalidInput, match="clear_unique_id_on_error would free the unique_id"):
        TaskRequestBuilder(job, pa.schema([("id", pa.string()), ("text", pa.string())]))


def test_unique_ids_do_not_collide_and_stay_short() -> None:
    assert unique_id("a", "b/c") != unique_id("a.b", "c")
    long = unique_id("job", "x" * 1000)
    assert len(long) <= MAX_UNIQUE_ID_CHARS
    assert long != unique_id("job", "x" * 1001)
    assert unique_id("street-boxes", "000017") == "street-boxes/000017"
    assert unique_id("job", "1", 2) == "job#2/1"
    assert unique_id("job", "a#1") != unique_id("job", "a", 1)
    hashed = long.removeprefix("job/")
    assert unique_id("job", hashed) != long


def test_times_and_numbers_are_serialized_to_json(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.timestamp("ms", "UTC"))])
    when = datetime(2026, 11, 23, tzinfo=UTC)
    bound = TaskRequestBuilder(make_job(tmp_path), schema).build(ManifestRow(1, {"id": 1, "text": when}))
    assert isinstance(bound, PreparedRow)
    assert bound.params["attachment"] == "2026-11-23T00:00:00+00:00"
    assert bound.source == {"id": 1}


def test_white_space_in_the_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id, text\n1,a\n")
    job = make_job(tmp_path, manifest={"uri": str(tmp_path / "m.csv"), "row_id": "id"})
    message = (
        r"names the column 'text', but the manifest has ' text', with white space around it; remove the white space"
    )
    with pytest.raises(InvalidInput, match=message), closing(Plan(job)):
        pass
