"""`POST /v1/task/{type}`: the API examples as JSON and as forms, and every 400. Source: 2017 API."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from labelflow.sandbox.testing import running
from labelflow.scale.task_types import known_types
from tests.support.examples import examples, is_legacy
from tests.support.sandbox_client import ApiClient, text_request

Example = Callable[[str], dict[str, Any]]


def form_encoded(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a request as `curl -d` sends it."""
    pairs: list[tuple[str, str]] = []
    for name, value in request.items():
        if isinstance(value, dict):
            pairs += [(f"{name}[{key}]", str(item)) for key, item in value.items()]
        elif isinstance(value, list):
            pairs += [(name, str(item)) for item in value]
        else:
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs


def check_created_task(task: dict[str, Any], example: dict[str, Any]) -> None:
    """Check that a task is the one of the example, except for the id and time that the server sets."""
    assert re.fullmatch(r"[0-9a-f]{24}", task["task_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", task["created_at"])
    set_by_server = {"task_id": task["task_id"], "created_at": task["created_at"]}
    assert task == {"urgency": "day", **example["task_pending"], **set_by_server}


@pytest.mark.parametrize("name", examples())
def test_json_example_is_accepted(name: str, live: ApiClient, local_example: Example) -> None:
    example = local_example(name)
    task = live.create(name, example["request"])
    check_created_task(task, example)
    assert live.get(task["task_id"]) == task


@pytest.mark.parametrize("name", [name for name in known_types if is_legacy(name)])
def test_form_example_is_accepted(name: str, live: ApiClient, local_example: Example) -> None:
    example = local_example(name)
    check_created_task(live.ok("POST", f"/task/{name}", data=form_encoded(example["request"])), example)


@pytest.mark.parametrize("name", examples())
def test_test_key_completes_an_example_immediately(name: str, test_mode: ApiClient, local_example: Example) -> None:
    example = local_example(name)
    task = test_mode.create(name, example["request"])
    assert task["is_test"] is True
    assert task["status"] == "pending"
    done = test_mode.wait_until_done(task)
    assert done["status"] == "completed"
    assert done["completed_at"] >= done["created_at"]
    set_by_sandbox = {"is_test", "callback_succeeded", "urgency"}
    assert set(done) - set_by_sandbox == set(example["task_completed"]) - set_by_sandbox
    assert done["response"].keys() == example["task_completed"]["response"].keys()


def test_curl_form_encoding(live: ApiClient) -> None:
    body = urlencode(
        [
            ("attachment", "http://127.0.0.1:9/a b.jpg".replace(" ", "%20")),
            ("objects_to_annotate", "car"),
            ("with_labels", "true"),
            ("min_width", "30"),
            ("metadata[row_id]", "000017"),
            ("metadata[where][city]", "Ulm"),
        ]
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    task = live.ok("POST", "/task/annotation", data=body, headers=headers)
    assert task["params"] == {
        "attachment_type": "image",
        "attachment": "http://127.0.0.1:9/a%20b.jpg",
        "objects_to_annotate": ["car"],
        "with_labels": True,
        "min_width": 30,
        "min_height": 0,
    }
    assert task["metadata"] == {"row_id": "000017", "where": {"city": "Ulm"}}


@pytest.mark.parametrize(
    "pairs",
    [
        [("categories", "a"), ("categories", "b")],
        [("categories[]", "a"), ("categories[]", "b")],
        [("categories[1]", "b"), ("categories[0]", "a")],
    ],
)
def test_a_list_in_a_form(pairs: list[tuple[str, str]], live: ApiClient) -> None:
    form = [("instruction", "?"), ("attachment_type", "text"), ("attachment", "hi"), ("tags", "one"), *pairs]
    task = live.ok("POST", "/task/categorization", data=form)
    assert task["params"]["categories"] == ["a", "b"]
    assert task["tags"] == ["one"]


def test_form_with_a_value_and_keys_under_one_name(live: ApiClient) -> None:
    form = [("fields", "x"), ("fields[title]", "Title")]
    assert "fields" in live.expect_error(400, "POST", "/task/datacollection", data=form)
    assert "fields" in live.expect_error(400, "POST", "/task/datacollection", data=form[::-1])


def test_numbers_as_strings_and_null(live: ApiClient) -> None:
    request = {
        "attachment": "http://127.0.0.1:9/a.jpg",
        "objects_to_annotate": ["car"],
        "min_width": "30",
        "instruction": None,
        "unique_id": None,
    }
    task = live.create("annotation", request)
    assert task["params"]["min_width"] == 30
    assert not {"instruction", "unique_id"} & set(task)


IMAGE = {"attachment": "http://127.0.0.1:9/a.jpg"}
BOXES = {**IMAGE, "objects_to_annotate": ["car"]}
LOOKUP = {"instruction": "Look.", "attachment_type": "image", **IMAGE, "fields": {"title": "Title"}}
COMPARE = {
    "instruction": "Same?",
    "attachment_type": "text",
    "attachments": ["one", "two"],
    "choices": ["yes", "no"],
}


@pytest.mark.parametrize(
    ("name", "request_body", "change", "parameter"),
    [
        ("categorization", text_request(), {"instruction": None}, "instruction"),
        ("categorization", text_request(), {"attachment_type": None}, "attachment_type"),
        ("categorization", text_request(), {"attachment_type": "smell"}, "attachment_type"),
        ("categorization", text_request(), {"attachment": None}, "attachment"),
        ("categorization", text_request(), {"attachment_type": "image"}, "attachment"),
        ("categorization", text_request(), {"categories": None}, "categories"),
        ("categorization", text_request(), {"categories": []}, "categories"),
        ("categorization", text_request(), {"category_ids": {"x": "neither"}}, "category_ids"),
        ("categorization", text_request(), {"allow_multiple": "perhaps"}, "allow_multiple"),
        ("categorization", text_request(), {"callback_url": "labels.example.com"}, "callback_url"),
        ("categorization", text_request(), {"urgency": "now"}, "urgency"),
        ("categorization", text_request(), {"metadata": "x"}, "metadata"),
        ("categorization", text_request(), {"unique_id": ""}, "unique_id"),
        ("categorization", text_request(), {"tags": "x"}, "tags"),
        ("comparison", COMPARE, {"attachments": None}, "attachments"),
        ("comparison", COMPARE, {"attachments": ["one"]}, "attachments"),
        ("comparison", COMPARE, {"choices": None}, "choices"),
        ("transcription", LOOKUP, {"fields": None}, "repeatable_fields"),
        ("transcription", LOOKUP, {"attachment_type": "text"}, "attachment_type"),
        ("transcription", LOOKUP, {"fields": {"title": ["x"]}}, "fields.title"),
        ("audiotranscription", IMAGE, {"attachment": "file:///a.wav"}, "attachment"),
        ("audiotranscription", IMAGE, {"attachment_type": "video"}, "attachment_type"),
        ("audiotranscription", IMAGE, {"phrases": "Parquet"}, "phrases"),
        ("datacollection", LOOKUP, {"fields": None}, "fields"),
        ("datacollection", LOOKUP, {"attachment_type": "audio"}, "attachment_type"),
        ("annotation", BOXES, {"attachment": "ftp://media.example.com/a.jpg"}, "attachment"),
        ("annotation", BOXES, {"objects_to_annotate": None}, "objects_to_annotate"),
        ("annotation", BOXES, {"objects_to_annotate": list("abcdefg")}, "objects_to_annotate"),
        ("annotation", BOXES, {"min_width": "wide"}, "min_width"),
        ("annotation", BOXES, {"min_height": -1}, "min_height"),
        ("lineannotation", BOXES, {"objects_to_annotate": list("abcd")}, "objects_to_annotate"),
        ("lineannotation", BOXES, {"splines": 7}, "splines"),
        ("polygonannotation", BOXES, {"objects_to_annotate": list("abcdefg")}, "objects_to_annotate"),
        ("polygonannotation", BOXES, {"with_labels": "x"}, "with_labels"),
    ],
)
def test_a_400_names_the_parameter(
    name: str, request_body: dict[str, Any], change: dict[str, Any], parameter: str, live: ApiClient
) -> None:
    live.create(name, request_body)
    error = live.expect_error(400, "POST", f"/task/{name}", json={**request_body, **change})
    assert re.search(rf"\b{re.escape(parameter)}\b", error), error
    assert live.ok("GET", "/tasks")["total"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"a": NaN}'])
def test_body_that_is_not_an_object(body: bytes, live: ApiClient) -> None:
    headers = {"Content-Type": "application/json"}
    assert "JSON" in live.expect_error(400, "POST", "/task/categorization", data=body, headers=headers)


@pytest.mark.parametrize("min_width", ["9" * 30, 10**30])
def test_number_too_large(min_width: object, live: ApiClient) -> None:
    live.expect_error(400, "POST", "/task/annotation", json={**BOXES, "min_width": min_width})


def test_unknown_task_type_is_accepted_unchecked(live: ApiClient) -> None:
    task = live.create("sensorfusion", {"text": "Ada in Ulm", "labels": [{"name": "person"}, 7]})
    assert task["type"] == "sensorfusion"
    assert task["params"] == {"text": "Ada in Ulm", "labels": [{"name": "person"}, 7]}


@pytest.mark.parametrize(
    "auth", [None, ("", ""), ("unknown", ""), ("testy_key", ""), ("test_key", "password"), ("live", "")]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/tasks"), ("POST", "/task/annotation"), ("GET", "/task/x")])
def test_api_key_is_required(method: str, path: str, auth: tuple[str, str] | None, url: str) -> None:
    response = requests.request(method, url + path, auth=auth, json={}, timeout=10)
    assert response.status_code == 401
    assert response.json()["status_code"] == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic dGVzdF8", "Bearer test_key", "Basic /////w=="])
def test_invalid_authorization_header(header: str, url: str) -> None:
    assert requests.get(f"{url}/tasks", headers={"Authorization": header}, timeout=10).status_code == 401


def test_keys_are_isolated(url: str, live: ApiClient, test_mode: ApiClient) -> None:
    task = live.create_text_task(unique_id="the same")
    for other in (test_mode, ApiClient(url, "live")):
        other.expect_error(404, "GET", f"/task/{task['task_id']}")
        other.expect_error(404, "POST", f"/task/{task['task_id']}/cancel")
        assert other.list_task_ids() == []
        other.create_text_task(unique_id="the same")
    assert live.list_task_ids() == [task["task_id"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", ""),
        ("GET", "/projects"),
        ("POST", "/batches"),
        ("POST", "/tasks"),
        ("GET", "/task/000000000000000000000001/cancel"),
        ("GET", "/tasks/"),
    ],
)
def test_an_unknown_endpoint(method: str, path: str, live: ApiClient) -> None:
    live.expect_error(404, method, path)


@pytest.mark.parametrize("task_id", ["x", "0" * 24, "f" * 24, "g" * 24, "5985d9000000000000000005", "%00", "é" * 24])
def test_an_unknown_task(task_id: str, live: ApiClient) -> None:
    live.create_text_task()
    live.expect_error(404, "GET", f"/task/{task_id}")


def test_ids_and_times_increase(live: ApiClient) -> None:
    tasks = [live.create_text_task() for _ in range(20)]
    assert sorted(tasks, key=lambda task: task["task_id"]) == tasks
    assert sorted(tasks, key=lambda task: task["created_at"]) == tasks
    assert live.list_task_ids() == [task["task_id"] for task in reversed(tasks)]


def test_a_callback_url_is_required_without_a_default(tmp_path: Path, live: ApiClient) -> None:
    assert live.create_text_task()["callback_url"].endswith("/callback-sink")
    with running(log=tmp_path / "log", default_callback="none") as url:
        client = ApiClient(url)
        assert "callback_url" in client.expect_error(400, "POST", "/task/categorization", json=text_request())
        assert client.create_text_task(callback_url="ada@example.com")["callback_url"] == "ada@example.com"
