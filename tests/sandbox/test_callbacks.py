"""Callbacks: the key, the body, the retries. Source: 2017 API, "Callbacks"."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from labelflow.sandbox.testing import running
from labelflow.sandbox.workers.callback_sender import MAX_RETRIES, retry_delay
from tests.support.media_server import MediaServer
from tests.support.sandbox_client import ApiClient, CallbackRecorder, wait_until

CALLBACK_DAY = 1.0  # duration of the 24 hours of retries in seconds


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(log=tmp_path_factory.mktemp("sandbox") / "log", callback_day=CALLBACK_DAY) as url:
        yield url


@pytest.fixture
def path(receiver: CallbackRecorder) -> str:
    """A path of the receiver that no other test uses."""
    receiver.status = lambda path, count: 200
    return f"/{uuid4().hex}"


def wait_for_callback_result(client: ApiClient, task: dict[str, Any]) -> dict[str, Any]:
    """Wait until the callback of a task has succeeded or failed for good; returns the task."""

    def get_if_called_back() -> dict[str, Any] | None:
        current = client.get(task["task_id"])
        return current if "callback_succeeded" in current else None

    called_back: dict[str, Any] = wait_until(get_if_called_back)
    return called_back


def test_callback_has_the_key_the_response_and_the_task(
    test_mode: ApiClient, receiver: CallbackRecorder, path: str
) -> None:
    task = wait_for_callback_result(
        test_mode, test_mode.create_text_task(callback_url=receiver.url + path, metadata={"row_id": "7"})
    )
    assert task["callback_succeeded"] is True
    (body,) = receiver.bodies(path)
    assert body["task_id"] == task["task_id"]
    assert body["response"] == task["response"]
    assert body["task"] == {name: value for name, value in task.items() if name != "callback_succeeded"}
    sent_headers = next(headers for sent_path, headers, _, _ in receiver.received if sent_path == path)
    headers = {name.lower(): value for name, value in sent_headers.items()}
    assert headers["scale-callback-auth"] == "sandbox-callback-key"
    assert headers["content-type"] == "application/json"


def test_any_2xx_is_a_success(test_mode: ApiClient, receiver: CallbackRecorder, path: str) -> None:
    receiver.status = lambda path, count: 204
    assert (
        wait_for_callback_result(test_mode, test_mode.create_text_task(callback_url=receiver.url + path))[
            "callback_succeeded"
        ]
        is True
    )


def test_callback_is_retried_until_it_succeeds(test_mode: ApiClient, receiver: CallbackRecorder, path: str) -> None:
    receiver.status = lambda path, count: 202 if count == 4 else 500
    task = test_mode.wait_until_done(test_mode.create_text_task(callback_url=receiver.url + path))
    assert task["status"] == "completed"
    assert wait_for_callback_result(test_mode, task)["callback_succeeded"] is True
    assert len(receiver.bodies(path)) == 4


def test_callback_fails_after_20_retries(test_mode: ApiClient, receiver: CallbackRecorder, path: str) -> None:
    receiver.status = lambda path, count: 302
    task = wait_for_callback_result(test_mode, test_mode.create_text_task(callback_url=receiver.url + path))
    assert task["callback_succeeded"] is False
    assert len(receiver.bodies(path)) == 1 + MAX_RETRIES
    times = [time for sent_path, _, _, time in receiver.received if sent_path == path]
    assert times[-1] - times[0] == pytest.approx(CALLBACK_DAY, abs=0.7)
    assert times[-1] - times[-2] > times[-3] - times[-4]


def test_unreachable_callback_url(test_mode: ApiClient) -> None:
    task = wait_for_callback_result(test_mode, test_mode.create_text_task(callback_url="http://127.0.0.1:9/callback"))
    assert task["callback_succeeded"] is False


def test_retry_intervals_grow_and_sum_to_a_day() -> None:
    delays = [retry_delay(retry, 86_400) for retry in range(1, MAX_RETRIES + 1)]
    assert len(delays) == 20
    assert sum(delays) == pytest.approx(86_400)
    assert all(delay < following for delay, following in pairwise(delays))
    assert delays[0] > 5


def test_no_callback_is_sent_to_an_email_address(test_mode: ApiClient) -> None:
    assert (
        wait_for_callback_result(test_mode, test_mode.create_text_task(callback_url="ada@example.com"))[
            "callback_succeeded"
        ]
        is True
    )


def test_callback_sink_accepts_everything(test_mode: ApiClient) -> None:
    task = wait_for_callback_result(test_mode, test_mode.create_text_task())
    assert task["callback_succeeded"] is True
    assert requests.post(task["callback_url"], json={}, timeout=10).status_code == 204


def test_bad_attachment_callback_has_its_own_format(
    test_mode: ApiClient, receiver: CallbackRecorder, path: str, media: MediaServer
) -> None:
    request = {
        "attachment": f"{media.url}/missing.png",
        "objects_to_annotate": ["car"],
        "callback_url": receiver.url + path,
    }
    task = wait_for_callback_result(test_mode, test_mode.create("annotation", request))
    (body,) = receiver.bodies(path)
    assert body["error"] == "One or more attachments could not be downloaded."
    assert body["attachments"] == [{"statusCode": 404, "url": f"{media.url}/missing.png"}]
    assert body["task_id"] == body["task"]["task_id"] == task["task_id"]
    assert body["response"] == task["response"] == {name: body[name] for name in ("error", "attachments")}


def test_bad_attachment_callback_has_no_task_in_2017(
    receiver: CallbackRecorder, path: str, media: MediaServer, tmp_path: Path
) -> None:
    with running(log=tmp_path / "log", api="2017", default_callback=receiver.url + path) as url:
        test_mode = ApiClient(url)
        good = wait_for_callback_result(test_mode, test_mode.create_text_task())
        bad = wait_for_callback_result(
            test_mode,
            test_mode.create("annotation", {"attachment": f"{media.url}/missing.png", "objects_to_annotate": ["car"]}),
        )
        assert good["callback_url"] == bad["callback_url"] == receiver.url + path
    good_body, bad_body = receiver.bodies(path)
    assert set(good_body) == {"task_id", "response", "task"}
    assert bad_body == {
        "task_id": bad["task_id"],
        "error": "One or more attachments could not be downloaded.",
        "attachments": [{"statusCode": 404, "url": f"{media.url}/missing.png"}],
    }


def test_callback_key_comes_from_the_environment(
    receiver: CallbackRecorder, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", "another-callback-key")
    with running(log=tmp_path / "log") as url:
        test_mode = ApiClient(url)
        wait_for_callback_result(test_mode, test_mode.create_text_task(callback_url=receiver.url + path))
    headers = next(headers for sent_path, headers, _, _ in receiver.received if sent_path == path)
    assert "another-callback-key" in headers.values()
    assert "another-callback-key" not in (tmp_path / "log").read_text()
