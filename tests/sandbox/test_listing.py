"""`GET /v1/tasks`: pages and filters. Source: 2017 API, "Task endpoints"; current API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.sandbox_client import ApiClient


def list_all(client: ApiClient, by: str, **query: Any) -> tuple[list[str], int]:
    """Return the ids of all pages, and the number of pages."""
    ids: list[str] = []
    pages = 0
    while True:
        page = client.ok("GET", "/tasks", params=query)
        pages += 1
        ids += [task["task_id"] for task in page["docs"]]
        if not page["has_more"]:
            assert "next_token" not in page
            return ids, pages
        query[by] = page["next_token"] if by == "next_token" else len(ids)


@pytest.mark.parametrize("by", ["next_token", "offset"])
@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (201, 3)])
def test_pages(count: int, pages: int, by: str, live: ApiClient) -> None:
    created_ids = [live.create_text_task(str(i))["task_id"] for i in range(count)]
    page = live.ok("GET", "/tasks")
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (count, 100, 0, count > 100)
    assert list_all(live, by) == (created_ids[::-1], pages)


def test_page_token_is_stable_when_tasks_are_added(live: ApiClient) -> None:
    created_ids = [live.create_text_task(str(i))["task_id"] for i in range(7)]
    first = live.ok("GET", "/tasks", params={"limit": 3})
    live.create_text_task("newer")
    second = live.ok("GET", "/tasks", params={"limit": 3, "next_token": first["next_token"]})
    assert [task["task_id"] for task in second["docs"]] == created_ids[3:0:-1]
    assert second["total"] == 8


def test_string_filters(live: ApiClient) -> None:
    one = live.create_text_task(project="street", batch="may", tags=["a", "b"], unique_id="one")["task_id"]
    two = live.create_text_task(project="street", batch="june", tags=["b"], unique_id="two/ü")["task_id"]
    three = live.create("annotation", {"attachment": "http://127.0.0.1:9/a.jpg", "objects_to_annotate": ["car"]})[
        "task_id"
    ]
    live.ok("POST", f"/task/{two}/cancel")
    assert live.list_task_ids(project="street") == [two, one]
    assert live.list_task_ids(project="street", batch="may") == [one]
    assert live.list_task_ids(tags="a") == [one]
    assert live.list_task_ids(tags=["a", "b"]) == [two, one]
    assert live.list_task_ids(unique_id="two/ü") == [two]
    assert live.list_task_ids(unique_id=["one", "two/ü", "none"]) == [two, one]
    assert live.list_task_ids(type="annotation") == [three]
    assert live.list_task_ids(status="canceled") == [two]
    assert live.list_task_ids(status="pending") == [three, one]
    assert live.list_task_ids(status="pending", type="categorization") == [one]
    assert live.list_task_ids(status="completed") == []
    assert live.list_task_ids(project="none") == []
    assert live.list_task_ids(customer_review_status="pending", include_attachment_url="True") == [three, two, one]


def test_time_filters_are_inclusive(test_mode: ApiClient) -> None:
    tasks = []
    for i in range(3):
        tasks.append(test_mode.wait_until_done(test_mode.create_text_task(str(i))))
        time.sleep(0.003)
    ids = [task["task_id"] for task in tasks]
    created, completed = tasks[1]["created_at"], tasks[1]["completed_at"]
    for name in ("start_time", "created_after"):
        assert test_mode.list_task_ids(**{name: created}) == [ids[2], ids[1]]
    for name in ("end_time", "created_before"):
        assert test_mode.list_task_ids(**{name: created}) == [ids[1], ids[0]]
    assert test_mode.list_task_ids(start_time=created, end_time=created) == [ids[1]]
    assert test_mode.list_task_ids(completed_after=completed) == [ids[2], ids[1]]
    assert test_mode.list_task_ids(completed_before=completed) == [ids[1], ids[0]]
    assert test_mode.list_task_ids(updated_after=completed, updated_before=completed) == [ids[1]]
    naive = created.replace("T", " ").removesuffix("Z") + "001"  # in UTC, a microsecond later
    assert test_mode.list_task_ids(start_time=naive) == [ids[2]]
    assert test_mode.list_task_ids(end_time=naive) == [ids[1], ids[0]]
    assert test_mode.list_task_ids(start_time="2100-01-01") == test_mode.list_task_ids(end_time="2000-01-01") == []


def test_updated_task_is_listed_again(live: ApiClient) -> None:
    old, new = live.create_text_task()["task_id"], live.create_text_task()
    time.sleep(0.003)
    changed = live.ok("POST", f"/task/{old}/setMetadata", json={"seen": True})
    assert changed["metadata"] == {"seen": True}
    assert live.list_task_ids(updated_after=new["created_at"])[-1] == old
    time.sleep(0.003)
    live.ok("POST", f"/task/{old}/cancel")
    page = live.ok("GET", "/tasks", params={"updated_after": new["created_at"]})
    assert page["docs"][-1]["status"] == "canceled"


def test_limited_response(live: ApiClient) -> None:
    task = live.create_text_task(project="street", metadata={"row_id": "7"})
    page = live.ok("GET", "/tasks", params={"limited_response": "true"})
    limited = {"task_id": task["task_id"], "status": "pending", "metadata": {"row_id": "7"}, "project": "street"}
    assert page["docs"] == [limited]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("limit", value) for value in ("0", "101", "-1", "x", "1.5", "", "²")],
        *[("offset", value) for value in ("-1", "x", "9" * 30)],
        *[("start_time", value) for value in ("yesterday", "", "2017-13-01")],
        ("completed_after", "1502055068"),
        ("status", "done"),
        ("next_token", "xyz"),
        ("colour", "red"),
        ("page", "2"),
    ],
)
def test_a_400_names_the_parameter(name: str, value: str, live: ApiClient) -> None:
    assert live.expect_error(400, "GET", "/tasks", params={name: value}).startswith(f"{name}: ")
