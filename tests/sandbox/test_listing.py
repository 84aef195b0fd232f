"""`GET /v1/tasks`: pages and filters. Source: contract A "Task endpoints", contract B."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.sandbox_client import Caller


def walk(caller: Caller, by: str, **query: Any) -> tuple[list[str], int]:
    """All ids, page after page, and how many pages there were."""
    ids: list[str] = []
    pages = 0
    while True:
        page = caller.ok("GET", "/tasks", params=query)
        pages += 1
        ids += [task["task_id"] for task in page["docs"]]
        if not page["has_more"]:
            assert "next_token" not in page
            return ids, pages
        query[by] = page["next_token"] if by == "next_token" else len(ids)


@pytest.mark.parametrize("by", ["next_token", "offset"])
@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (201, 3)])
def test_pages(count: int, pages: int, by: str, live: Caller) -> None:
    made = [live.text(str(i))["task_id"] for i in range(count)]
    page = live.ok("GET", "/tasks")
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (count, 100, 0, count > 100)
    assert walk(live, by) == (made[::-1], pages)


def test_a_token_is_not_moved_by_newer_tasks(live: Caller) -> None:
    made = [live.text(str(i))["task_id"] for i in range(7)]
    first = live.ok("GET", "/tasks", params={"limit": 3})
    live.text("newer")
    second = live.ok("GET", "/tasks", params={"limit": 3, "next_token": first["next_token"]})
    assert [task["task_id"] for task in second["docs"]] == made[3:0:-1]
    assert second["total"] == 8


def test_filters_on_words(live: Caller) -> None:
    one = live.text(project="street", batch="may", tags=["a", "b"], unique_id="one")["task_id"]
    two = live.text(project="street", batch="june", tags=["b"], unique_id="two/ü")["task_id"]
    three = live.create("annotation", {"attachment": "http://127.0.0.1:9/a.jpg", "objects_to_annotate": ["car"]})[
        "task_id"
    ]
    live.ok("POST", f"/task/{two}/cancel")
    assert live.listed(project="street") == [two, one]
    assert live.listed(project="street", batch="may") == [one]
    assert live.listed(tags="a") == [one]
    assert live.listed(tags=["a", "b"]) == [two, one]
    assert live.listed(unique_id="two/ü") == [two]
    assert live.listed(unique_id=["one", "two/ü", "none"]) == [two, one]
    assert live.listed(type="annotation") == [three]
    assert live.listed(status="canceled") == [two]
    assert live.listed(status="pending") == [three, one]
    assert live.listed(status="pending", type="categorization") == [one]
    assert live.listed(status="completed") == []
    assert live.listed(project="none") == []
    assert live.listed(customer_review_status="pending", include_attachment_url="True") == [three, two, one]


def test_filters_on_times_take_their_ends_in(trial: Caller) -> None:
    tasks = []
    for i in range(3):
        tasks.append(trial.done(trial.text(str(i))))
        time.sleep(0.003)
    ids = [task["task_id"] for task in tasks]
    created, completed = tasks[1]["created_at"], tasks[1]["completed_at"]
    for name in ("start_time", "created_after"):
        assert trial.listed(**{name: created}) == [ids[2], ids[1]]
    for name in ("end_time", "created_before"):
        assert trial.listed(**{name: created}) == [ids[1], ids[0]]
    assert trial.listed(start_time=created, end_time=created) == [ids[1]]
    assert trial.listed(completed_after=completed) == [ids[2], ids[1]]
    assert trial.listed(completed_before=completed) == [ids[1], ids[0]]
    assert trial.listed(updated_after=completed, updated_before=completed) == [ids[1]]
    naive = created.replace("T", " ").removesuffix("Z") + "001"  # UTC; a microsecond later
    assert trial.listed(start_time=naive) == [ids[2]]
    assert trial.listed(end_time=naive) == [ids[1], ids[0]]
    assert trial.listed(start_time="2100-01-01") == trial.listed(end_time="2000-01-01") == []


def test_what_is_updated_is_listed_again(live: Caller) -> None:
    old, new = live.text()["task_id"], live.text()
    time.sleep(0.003)
    changed = live.ok("POST", f"/task/{old}/setMetadata", json={"seen": True})
    assert changed["metadata"] == {"seen": True}
    assert live.listed(updated_after=new["created_at"])[-1] == old
    time.sleep(0.003)
    live.ok("POST", f"/task/{old}/cancel")
    page = live.ok("GET", "/tasks", params={"updated_after": new["created_at"]})
    assert page["docs"][-1]["status"] == "canceled"


def test_a_limited_response(live: Caller) -> None:
    task = live.text(project="street", metadata={"row_id": "7"})
    page = live.ok("GET", "/tasks", params={"limited_response": "true"})
    left = {"task_id": task["task_id"], "status": "pending", "metadata": {"row_id": "7"}, "project": "street"}
    assert page["docs"] == [left]


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
def test_a_400_names_the_parameter(name: str, value: str, live: Caller) -> None:
    assert live.refused(400, "GET", "/tasks", params={name: value}).startswith(f"{name}: ")
