"""`unique_id`, canceling, metadata and tags. Source: 2017 API, "Task endpoints"; current API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.media_server import MediaServer
from tests.support.sandbox_client import ApiClient, text_request


def unique_id_taken_error(unique_id: str, task_id: str) -> str:
    return f'The unique_id ("{unique_id}") is already used for a different task ({task_id}).'


def test_unique_id_is_used_once(live: ApiClient) -> None:
    task = live.create_text_task(unique_id="street/1")
    assert task["unique_id"] == "street/1"
    request = {**text_request("another"), "unique_id": "street/1"}
    assert live.expect_error(409, "POST", "/task/categorization", json=request) == unique_id_taken_error(
        "street/1", task["task_id"]
    )
    assert live.list_task_ids() == [task["task_id"]]


def test_concurrent_creations_with_one_unique_id_create_one_task(url: str) -> None:
    clients = [ApiClient(url, key="live_concurrent_clients") for _ in range(8)]

    def create(client: ApiClient) -> list[int]:
        requests = [{**text_request(), "unique_id": f"row/{i}"} for i in range(25)]
        return [client.request("POST", "/task/categorization", json=request).status_code for request in requests]

    with ThreadPoolExecutor(len(clients)) as pool:
        statuses = [status for client_statuses in pool.map(create, clients) for status in client_statuses]
    assert (statuses.count(200), statuses.count(409)) == (25, 7 * 25)
    assert clients[0].ok("GET", "/tasks")["total"] == 25


def test_changing_a_unique_id(live: ApiClient) -> None:
    first, second = live.create_text_task(unique_id="one")["task_id"], live.create_text_task()["task_id"]
    path = f"/task/{second}/unique_id"
    assert live.expect_error(409, "POST", path, json={"unique_id": "one"}) == unique_id_taken_error("one", first)
    assert live.ok("POST", path, json={"unique_id": "two"})["unique_id"] == "two"
    assert live.ok("POST", path, json={"unique_id": "two"})["unique_id"] == "two"
    assert "unique_id" not in live.ok("DELETE", f"/task/{first}/unique_id")
    assert live.ok("POST", path, json={"unique_id": "one"})["unique_id"] == "one"
    assert live.list_task_ids(unique_id="two") == []
    bodies: list[Any] = [{}, {"unique_id": ""}, {"unique_id": 7}, []]
    for body in bodies:
        assert "unique_id" in live.expect_error(400, "POST", path, json=body)


def test_canceling(live: ApiClient) -> None:
    task = live.create_text_task(unique_id="one")
    canceled = live.ok("POST", f"/task/{task['task_id']}/cancel")
    assert canceled == {**task, "status": "canceled"}
    assert live.get(task["task_id"]) == canceled
    live.expect_error(400, "POST", f"/task/{task['task_id']}/cancel")
    live.expect_error(409, "POST", "/task/categorization", json={**text_request(), "unique_id": "one"})


def test_canceling_can_free_the_unique_id(live: ApiClient) -> None:
    task = live.create_text_task(unique_id="one")
    canceled = live.ok("POST", f"/task/{task['task_id']}/cancel?clear_unique_id=true")
    assert "unique_id" not in canceled
    assert live.create_text_task(unique_id="one")["unique_id"] == "one"


def test_only_a_pending_task_can_be_canceled(test_mode: ApiClient, media: MediaServer) -> None:
    done = test_mode.wait_until_done(test_mode.create_text_task())
    failed = test_mode.wait_until_done(
        test_mode.create("annotation", {"attachment": f"{media.url}/missing.jpg", "objects_to_annotate": ["car"]})
    )
    assert (done["status"], failed["status"]) == ("completed", "error")
    for task in (done, failed):
        assert task["status"] in test_mode.expect_error(400, "POST", f"/task/{task['task_id']}/cancel")
        assert test_mode.get(task["task_id"])["status"] == task["status"]
    test_mode.expect_error(404, "POST", f"/task/{'0' * 24}/cancel")


@pytest.mark.parametrize("frees", [True, False])
def test_an_error_can_free_the_unique_id(frees: bool, test_mode: ApiClient, media: MediaServer) -> None:
    request = {
        "attachment": f"{media.url}/missing.jpg",
        "objects_to_annotate": ["car"],
        "unique_id": "one",
        "clear_unique_id_on_error": frees,
    }
    failed = test_mode.wait_until_done(test_mode.create("annotation", request))
    assert ("unique_id" not in failed) is frees
    assert (test_mode.request("POST", "/task/annotation", json=request).status_code == 200) is frees


def test_metadata_is_replaced_entirely(live: ApiClient) -> None:
    path = f"/task/{live.create_text_task(metadata={'a': 1, 'b': None})['task_id']}/setMetadata"
    assert live.ok("POST", path, json={"c": {"d": [1.5, "é"]}})["metadata"] == {"c": {"d": [1.5, "é"]}}
    assert live.ok("POST", path, json={})["metadata"] == {}
    assert "metadata" in live.expect_error(400, "POST", path, json=[1])


def test_tags_are_set_added_and_removed(live: ApiClient) -> None:
    path = f"/task/{live.create_text_task()['task_id']}/tags"
    assert live.ok("PUT", path, json=["a"])["tags"] == ["a"]
    assert live.ok("POST", path, json=["b", "c", "b"])["tags"] == ["b", "c"]
    assert live.ok("PUT", path, json=["c", "a"])["tags"] == ["b", "c", "a"]
    assert live.ok("DELETE", path, json=["c", "x"])["tags"] == ["b", "a"]
    for body in ({"a": 1}, [1], "a"):
        assert "tags" in live.expect_error(400, "POST", path, json=body)
