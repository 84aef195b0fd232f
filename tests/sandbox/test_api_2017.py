"""The contract as it was in 2017: contract A alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.media_server import MediaServer
from tests.support.sandbox_client import Caller


@pytest.fixture
def live(url_2017: str) -> Caller:
    return Caller(url_2017, "live")


@pytest.fixture
def trial(url_2017: str) -> Caller:
    return Caller(url_2017, "test")


def test_unique_id_and_its_like_are_ignored(live: Caller) -> None:
    added: dict[str, Any] = {
        "unique_id": "one",
        "project": "p",
        "batch": "b",
        "tags": "not a list",
        "clear_unique_id_on_error": 7,
    }
    first, second = live.text(**added), live.text(**added)
    assert first["task_id"] != second["task_id"]
    assert not set(added) & (set(first) | set(first["params"]))
    assert live.listed(unique_id="one") == live.listed(project="other") == [second["task_id"], first["task_id"]]


def test_pages_by_offset_only(live: Caller) -> None:
    made = [live.text(str(i))["task_id"] for i in range(5)]
    page = live.ok("GET", "/tasks", params={"limit": 2})
    assert set(page) == {"docs", "total", "limit", "offset", "has_more"}
    assert page["has_more"]
    assert live.listed(limit=2, next_token="0000000000000001") == made[:2:-1]
    assert live.listed(limit=2, offset=2) == made[2:0:-1]
    assert live.listed(limit=2, offset=4) == made[:1]
    assert live.listed(completed_after="nonsense", colour="red") == made[::-1]


def test_cancelling_what_is_completed_is_a_500(live: Caller, trial: Caller) -> None:
    done = trial.done(trial.text())
    trial.refused(500, "POST", f"/task/{done['task_id']}/cancel")
    task = live.text()
    assert live.ok("POST", f"/task/{task['task_id']}/cancel")["status"] == "canceled"
    live.refused(500, "POST", f"/task/{task['task_id']}/cancel")
    live.refused(404, "POST", f"/task/{'0' * 24}/cancel")


def test_there_is_no_status_error(trial: Caller, media: MediaServer) -> None:
    request = {"attachment": f"{media.url}/gone.jpg", "objects_to_annotate": ["car"]}
    failed = trial.done(trial.create("annotation", request))
    assert failed["status"] == "completed"
    assert failed["response"]["error"] == "One or more attachments could not be downloaded."
    assert trial.listed(status="completed") == [failed["task_id"]]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "unique_id"), ("DELETE", "unique_id"), ("POST", "setMetadata"), ("PUT", "tags")]
)
def test_what_was_added_later_is_not_there(method: str, path: str, live: Caller) -> None:
    live.refused(404, method, f"/task/{live.text()['task_id']}/{path}", json={})
