"""Differences of the 2017 API from the current API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.media_server import MediaServer
from tests.support.sandbox_client import ApiClient


@pytest.fixture
def live(url_2017: str) -> ApiClient:
    return ApiClient(url_2017, "live")


@pytest.fixture
def test_mode(url_2017: str) -> ApiClient:
    return ApiClient(url_2017, "test")


def test_unsupported_parameters_are_ignored(live: ApiClient) -> None:
    added: dict[str, Any] = {
        "unique_id": "one",
        "project": "p",
        "batch": "b",
        "tags": "not a list",
        "clear_unique_id_on_error": 7,
    }
    first, second = live.create_text_task(**added), live.create_text_task(**added)
    assert first["task_id"] != second["task_id"]
    assert not set(added) & (set(first) | set(first["params"]))
    assert (
        live.list_task_ids(unique_id="one")
        == live.list_task_ids(project="other")
        == [second["task_id"], first["task_id"]]
    )


def test_pages_by_offset_only(live: ApiClient) -> None:
    created = [live.create_text_task(str(i))["task_id"] for i in range(5)]
    page = live.ok("GET", "/tasks", params={"limit": 2})
    assert set(page) == {"docs", "total", "limit", "offset", "has_more"}
    assert page["has_more"]
    assert live.list_task_ids(limit=2, next_token="0000000000000001") == created[:2:-1]
    assert live.list_task_ids(limit=2, offset=2) == created[2:0:-1]
    assert live.list_task_ids(limit=2, offset=4) == created[:1]
    assert live.list_task_ids(completed_after="nonsense", colour="red") == created[::-1]


def test_canceling_a_completed_task_is_a_500(live: ApiClient, test_mode: ApiClient) -> None:
    done = test_mode.wait_until_done(test_mode.create_text_task())
    test_mode.expect_error(500, "POST", f"/task/{done['task_id']}/cancel")
    task = live.create_text_task()
    assert live.ok("POST", f"/task/{task['task_id']}/cancel")["status"] == "canceled"
    live.expect_error(500, "POST", f"/task/{task['task_id']}/cancel")
    live.expect_error(404, "POST", f"/task/{'0' * 24}/cancel")


def test_there_is_no_status_error(test_mode: ApiClient, media: MediaServer) -> None:
    request = {"attachment": f"{media.url}/missing.jpg", "objects_to_annotate": ["car"]}
    failed = test_mode.wait_until_done(test_mode.create("annotation", request))
    assert failed["status"] == "completed"
    assert failed["response"]["error"] == "One or more attachments could not be downloaded."
    assert test_mode.list_task_ids(status="completed") == [failed["task_id"]]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "unique_id"), ("DELETE", "unique_id"), ("POST", "setMetadata"), ("PUT", "tags")]
)
def test_newer_endpoints_are_missing(method: str, path: str, live: ApiClient) -> None:
    live.expect_error(404, method, f"/task/{live.create_text_task()['task_id']}/{path}", json={})
