"""From a completed task to a row of Parquet: the columns of each type, and answers that do not match the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.scale.models import parse_time
from tests.conftest import StubServer
from tests.support.examples import examples, expected_columns, own_params
from tests.support.jobs import make_job
from tests.support.run_job import label

EXAMPLES = examples()


class SingleResponseApi:
    """An API that completes every task with one response, under the id of the contract's example."""

    def __init__(self, stub_server: StubServer, name: str, response: Any, status: str = "completed") -> None:
        self.created: list[dict[str, Any]] = []
        self.completed = {**EXAMPLES[name]["task_completed"], "response": response, "status": status}
        stub_server.respond = self.respond

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            request = json.loads(body)
            self.created.append(request)
            self.completed.update(metadata=request["metadata"], unique_id=request["unique_id"])
            return 200, {**self.completed, "status": "pending"}, {}
        asked = parse_qs(urlsplit(path).query).get("status", [""])[0]
        docs = [self.completed] if self.created and asked == self.completed["status"] else []
        return 200, {"docs": docs, "total": len(docs), "has_more": False}, {}


def label_example(tmp_path: Path, stub_server: StubServer, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    request = EXAMPLES[name]["request"]
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "row-1"}) + "\n")
    job = make_job(
        tmp_path,
        task={"type": name, **own_params(request)},
        attachments={"check": "off"},
        scale={"url": stub_server.url},
        collect={"poll_interval": "0.1s", "timeout": "3s"},
    )
    return label(job)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_become_rows_with_the_documented_columns(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    response = EXAMPLES[name]["task_completed"]["response"]
    api = SingleResponseApi(stub_server, name, response)
    assert label_example(tmp_path, stub_server, name, monkeypatch).labeled == 1
    sent = {key: value for key, value in api.created[0].items() if key not in ("metadata", "unique_id")}
    assert sent == own_params(EXAMPLES[name]["request"])
    row = pq.read_table(tmp_path / "out" / "labels").to_pylist()[0]
    assert row["row_id"] == "row-1"
    assert row["task_id"] == EXAMPLES[name]["task_completed"]["task_id"]
    assert row["completed_at"] == parse_time(EXAMPLES[name]["task_completed"]["completed_at"])
    assert json.loads(row["response_json"]) == response
    for key, value in expected_columns(EXAMPLES[name]).items():
        assert row[key] == value


MALFORMED_RESPONSES: list[Any] = [
    {"annotations": "none"},
    {"annotations": [{"left": "far", "top": 1, "width": 2, "height": 3}]},
    {"annotations": [{"top": 1}]},
    {"boxes": []},
    ["a", "list"],
    {},
]


@pytest.mark.parametrize("response", MALFORMED_RESPONSES, ids=str)
def test_unparsed_response_is_kept_whole_and_counted(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, response: Any
) -> None:
    SingleResponseApi(stub_server, "annotation", response)
    summary = label_example(tmp_path, stub_server, "annotation", monkeypatch)
    assert (summary.labeled, summary.unparsed) == (1, 1)
    row = pq.read_table(tmp_path / "out" / "labels").to_pylist()[0]
    assert json.loads(row["response_json"]) == response
    assert row["annotations"] is None


@pytest.mark.parametrize("status", ["completed", "error"])
def test_task_error_becomes_an_errors_row_without_the_signature(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    url = "https://b.example/k.jpg?X-Amz-Credential=A&X-Amz-Signature=5ec2e7"
    attachments = [
        {"statusCode": 403, "url": url, "note": f"Is it open? Ben & Jerry's {url} ?policy=a&expires=b", url: 1}
    ]
    SingleResponseApi(stub_server, "annotation", {"error": "Not downloaded.", "attachments": attachments}, status)
    summary = label_example(tmp_path, stub_server, "annotation", monkeypatch)
    assert (summary.labeled, summary.error) == (0, 1)
    row = pq.read_table(tmp_path / "out" / "errors").to_pylist()[0]
    assert (row["status"], row["reason"]) == ("error", "Not downloaded. (HTTP 403: https://b.example/k.jpg)")
    [attachment] = json.loads(row["response_json"])["attachments"]
    note = "Is it open? Ben & Jerry's https://b.example/k.jpg ?policy=a&expires=b"
    stripped = "https://b.example/k.jpg"
    assert attachment == {"statusCode": 403, "url": stripped, "note": note, stripped: 1}
    assert not any(b"5ec2e7" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_fields_keyed_by_manifest_values_become_a_map(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    SingleResponseApi(stub_server, "datacollection", {"fields": {"a": "1", "b": "2"}})
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "1", "wanted": {"a": "A?", "b": "B?"}}) + "\n")
    task = {**own_params(EXAMPLES["datacollection"]["request"]), "type": "datacollection", "fields": "{wanted}"}
    label(make_job(tmp_path, task=task, attachments={"check": "off"}, scale={"url": stub_server.url}))
    table = pq.read_table(tmp_path / "out" / "labels")
    assert pa.types.is_map(table.schema.field("fields").type)
    assert table["fields"].to_pylist() == [[("a", "1"), ("b", "2")]]


class ManyResponsesApi:
    """An API that completes every task with the JSON text that is its row's response."""

    def __init__(self, stub_server: StubServer, responses: dict[str, str]) -> None:
        self._responses = responses
        self._tasks: list[str] = []  # JSON
        self.created: list[bytes] = []
        stub_server.respond = self.respond

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            self.created.append(body)
            request = json.loads(body)
            row_id = request["metadata"]["row_id"]
            task = {"task_id": f"{len(self._tasks):024x}", "type": "annotation", "created_at": "2026-11-26T00:00:00Z"}
            task |= {"unique_id": request["unique_id"], "metadata": request["metadata"]}
            completed = json.dumps({**task, "status": "completed", "completed_at": "2026-11-26T01:00:00Z"})
            self._tasks.append(f'{completed[:-1]}, "response": {self._responses[row_id]}}}')
            return 200, {**task, "status": "pending"}, {}
        is_completed = parse_qs(urlsplit(path).query).get("status", [""])[0] == "completed"
        docs = self._tasks if is_completed else []
        return 200, f'{{"docs": [{", ".join(docs)}], "total": {len(docs)}, "has_more": false}}'.encode(), {}


def box(left: str) -> str:
    return f'{{"annotations": [{{"left": {left}, "top": 1, "width": 2, "height": 3, "label": "car"}}]}}'


ODD_VALUES = {
    "infinite": "1e999",
    "5000 digits": "9" * 5000,
    "4000 digits": "9" * 4000,
    "65 bits": "80241446968629130001",
    "NaN": "NaN",
    "300 levels": "[" * 300 + "]" * 300,
    "900 levels": "[" * 900 + "]" * 900,
    "1015 levels": "[" * 1015 + "]" * 1015,
    "1100 levels": '{"a":' * 1100 + "1" + "}" * 1100,
}


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_odd_task_in_a_listing_is_kept_and_does_not_stop_the_others(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    value = ODD_VALUES[odd]
    responses = {str(number): box("1.5") for number in range(20)}
    responses |= {"7": box(value), "8": f'{{"other": {value}}}', "9": f'{{"error": "failed", "detail": {value}}}'}
    ManyResponsesApi(stub_server, responses)
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps({"id": row}) + "\n" for row in responses))
    task = {"type": "annotation", **own_params(EXAMPLES["annotation"]["request"])}
    job = make_job(
        tmp_path,
        task=task,
        attachments={"check": "off"},
        scale={"url": stub_server.url},
        collect={"timeout": "9s"},
    )
    summary = label(job)
    assert (summary.labeled, summary.error) == (19, 1)
    rows = (
        pq.read_table(tmp_path / "out" / "labels").to_pylist() + pq.read_table(tmp_path / "out" / "errors").to_pylist()
    )
    texts = {row["row_id"]: row["response_json"] for row in rows}
    assert json.loads(texts["0"]) == json.loads(box("1.5"))
    kept = "null" if odd == "NaN" else value
    for row_id in ("7", "8", "9"):
        assert kept in texts[row_id] or odd == "1100 levels"
    if odd == "1100 levels":
        assert texts["8"].count('"a') + texts["8"].count('\\"a') >= 1100


def test_integers_over_64_bits_are_sent_and_stored_exactly(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    number = "80241446968629130001"
    api = ManyResponsesApi(stub_server, {"a": f'{{"serial": {number}}}'})
    (tmp_path / "manifest.jsonl").write_text(f'{{"id": "a", "serial": {number}, "parts": {{"of": [{number}]}}}}\n')
    task = {"type": "newtype", "serial": "{serial}", "parts": "{parts}"}
    job = make_job(
        tmp_path, task=task, metadata=["serial"], attachments={"check": "off"}, scale={"url": stub_server.url}
    )
    assert label(job).labeled == 1
    [body] = api.created
    sent = json.loads(body)
    assert (sent["serial"], sent["parts"]) == (int(number), {"of": [int(number)]})
    assert sent["metadata"]["serial"] == number
    [row] = pq.read_table(tmp_path / "out" / "labels").to_pylist()
    assert (row["source"]["serial"], row["response_json"]) == (number, f'{{"serial":{number}}}')
    assert label(job).created == 0
