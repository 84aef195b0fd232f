"""From a completed task to a row of Parquet: what each type promises, and answers that break the promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Scripted
from tests.support.examples import examples, own_params
from tests.support.jobs import make_job
from tests.support.run_job import label

EXAMPLES = examples()


class Answering:
    """An API that completes every task with one response, under the id of the contract's example."""

    def __init__(self, scripted: Scripted, name: str, response: Any, status: str = "completed") -> None:
        self.created: list[dict[str, Any]] = []
        self.completed = {**EXAMPLES[name]["task_completed"], "response": response, "status": status}
        scripted.answer = self.answer

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            request = json.loads(body)
            self.created.append(request)
            self.completed.update(metadata=request["metadata"], unique_id=request["unique_id"])
            return 200, {**self.completed, "status": "pending"}, {}
        asked = parse_qs(urlsplit(path).query).get("status", [""])[0]
        docs = [self.completed] if self.created and asked == self.completed["status"] else []
        return 200, {"docs": docs, "total": len(docs), "has_more": False}, {}


def run(tmp_path: Path, scripted: Scripted, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    request = EXAMPLES[name]["request"]
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "row-1"}) + "\n")
    job = make_job(
        tmp_path,
        task={"type": name, **own_params(request)},
        attachments={"check": "off"},
        scale={"url": scripted.url},
        collect={"poll_interval": "0.1s", "timeout": "3s"},
    )
    return label(job)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_become_the_rows_that_their_columns_promise(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    response = EXAMPLES[name]["task_completed"]["response"]
    api = Answering(scripted, name, response)
    assert run(tmp_path, scripted, name, monkeypatch).labeled == 1
    sent = {key: value for key, value in api.created[0].items() if key not in ("metadata", "unique_id")}
    assert sent == own_params(EXAMPLES[name]["request"])
    row = pq.read_table(tmp_path / "out" / "labels").to_pylist()[0]
    assert row["row_id"] == "row-1"
    assert row["task_id"] == EXAMPLES[name]["task_completed"]["task_id"]
    assert row["completed_at"].isoformat() == "2017-08-06T21:58:40.117000+00:00"
    assert json.loads(row["response_json"]) == response
    if name != "imageannotation":
        for key, value in response.items():
            assert row[key] == ([value] if key == "category" and isinstance(value, str) else value)


BROKEN: list[Any] = [
    {"annotations": "none"},
    {"annotations": [{"left": "far", "top": 1, "width": 2, "height": 3}]},
    {"annotations": [{"top": 1}]},
    {"boxes": []},
    ["a", "list"],
    {},
]


@pytest.mark.parametrize("response", BROKEN, ids=str)
def test_an_answer_of_another_shape_is_kept_whole_and_counted(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, response: Any
) -> None:
    Answering(scripted, "annotation", response)
    summary = run(tmp_path, scripted, "annotation", monkeypatch)
    assert (summary.labeled, summary.unexpected) == (1, 1)
    row = pq.read_table(tmp_path / "out" / "labels").to_pylist()[0]
    assert json.loads(row["response_json"]) == response
    assert row["annotations"] is None


@pytest.mark.parametrize("status", ["completed", "error"])
def test_trouble_is_an_errors_row_without_the_signature(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    url = "https://b.example/k.jpg?X-Amz-Signature=5ec2e7"
    attachments = [{"statusCode": 403, "url": url}]
    Answering(scripted, "annotation", {"error": "Not downloaded.", "attachments": attachments}, status)
    summary = run(tmp_path, scripted, "annotation", monkeypatch)
    assert (summary.labeled, summary.error) == (0, 1)
    row = pq.read_table(tmp_path / "out" / "errors").to_pylist()[0]
    assert (row["status"], row["reason"]) == ("error", "Not downloaded. (HTTP 403: https://b.example/k.jpg)")
    assert json.loads(row["response_json"])["attachments"][0]["url"] == "https://b.example/k.jpg"
    assert not any(b"5ec2e7" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_fields_whose_keys_come_from_the_manifest_are_a_map(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    Answering(scripted, "datacollection", {"fields": {"a": "1", "b": "2"}})
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "1", "wanted": {"a": "A?", "b": "B?"}}) + "\n")
    task = {**own_params(EXAMPLES["datacollection"]["request"]), "type": "datacollection", "fields": "{wanted}"}
    label(make_job(tmp_path, task=task, attachments={"check": "off"}, scale={"url": scripted.url}))
    table = pq.read_table(tmp_path / "out" / "labels")
    assert pa.types.is_map(table.schema.field("fields").type)
    assert table["fields"].to_pylist() == [[("a", "1"), ("b", "2")]]
