"""Responses of the sandbox. Source: 2017 API, "Responses" and "Attachments"."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from labelflow.sandbox.testing import running
from labelflow.scale.models import parse_time
from labelflow.scale.task_types import known_types
from tests.support.media_server import Handler, MediaServer, file_response, picture, wav
from tests.support.sandbox_client import ApiClient, wait_until

Example = Callable[[str], dict[str, Any]]


def complete_box_task(client: ApiClient, attachment: str, **params: Any) -> dict[str, Any]:
    request = {"attachment": attachment, "objects_to_annotate": ["car", "truck"], "with_labels": True, **params}
    return client.wait_until_done(client.create("annotation", request))


def complete_transcription(client: ApiClient, attachment: str) -> dict[str, Any]:
    return client.wait_until_done(client.create("audiotranscription", {"attachment": attachment}))


@pytest.fixture(scope="module")
def other_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A client of a second sandbox."""
    with running(log=tmp_path_factory.mktemp("another") / "log") as url:
        yield ApiClient(url)


@pytest.mark.parametrize("name", known_types)
def test_same_task_gets_the_same_answer_in_every_run(
    name: str, other_sandbox: ApiClient, test_mode: ApiClient, local_example: Example
) -> None:
    request = {key: value for key, value in local_example(name)["request"].items() if key != "unique_id"}
    response = test_mode.wait_until_done(test_mode.create(name, request))["response"]
    known_types[name].response.model_validate(response)
    assert test_mode.wait_until_done(test_mode.create(name, request))["response"] == response
    assert other_sandbox.wait_until_done(other_sandbox.create(name, request))["response"] == response


def test_answers_differ_by_task_but_not_by_url_signature(test_mode: ApiClient, media: MediaServer) -> None:
    response = complete_box_task(test_mode, f"{media.url}/street/000017.jpg")["response"]
    assert complete_box_task(test_mode, f"{media.url}/street/000018.jpg")["response"] != response
    assert complete_box_task(test_mode, f"{media.url}/street/000017.jpg", min_width=40)["response"] != response
    signed = f"{media.url}/street/000017.jpg?X-Amz-Signature=0123"
    assert complete_box_task(test_mode, signed, metadata={"row": "1"})["response"] == response


@pytest.mark.parametrize(("width", "height", "min_side"), [(31, 17, 5), (1, 1, 0), (3000, 20, 15), (50, 50, 400)])
def test_boxes_are_inside_the_image(
    width: int, height: int, min_side: int, test_mode: ApiClient, media: MediaServer
) -> None:
    url = media.serve(f"/{width}x{height}.png", file_response(picture(width, height), "image/png"))
    for i in range(20):
        response = complete_box_task(test_mode, url, min_width=min_side, min_height=min_side, instruction=f"Draw {i}.")[
            "response"
        ]
        for box in response["annotations"]:
            assert box["label"] in ("car", "truck")
            assert box["left"] >= 0
            assert box["top"] >= 0
            assert min(min_side, width) <= box["width"] <= width - box["left"]
            assert min(min_side, height) <= box["height"] <= height - box["top"]


def test_large_image_is_measured_by_its_prefix(test_mode: ApiClient, media: MediaServer) -> None:
    content = picture(5000, 4000, "BMP")
    url = media.serve("/large.bmp", file_response(content, "image/bmp"))
    response = test_mode.wait_until_done(
        test_mode.create("lineannotation", {"attachment": url, "objects_to_annotate": ["lane"]})
    )["response"]
    max_x = max(vertex["x"] for shape in response["annotations"] for vertex in shape["vertices"])
    assert 640 < max_x < 5000


@pytest.mark.parametrize("seconds", [0.4, 12.5, 29 * 60])
def test_the_alignment_spans_the_recording(seconds: float, test_mode: ApiClient, media: MediaServer) -> None:
    response = complete_transcription(
        test_mode, media.serve(f"/{seconds}.wav", file_response(wav(seconds), "audio/wav"))
    )["response"]
    alignment = response["alignment"]
    assert response["duration"] == pytest.approx(seconds, abs=0.02)
    assert alignment[0]["start"] == 0
    assert alignment[-1]["end"] == response["duration"]
    assert all(word["start"] < word["end"] for word in alignment)
    assert all(word["end"] <= following["start"] + 0.002 for word, following in pairwise(alignment))
    assert {word["confidence"] for word in alignment} <= {0.9, 0.3}
    assert len(response["transcript"].split()) == len(alignment)


def test_large_recording_is_measured_by_its_prefix(test_mode: ApiClient, media: MediaServer) -> None:
    url = media.serve("/hifi.wav", file_response(wav(120, rate=96_000), "audio/wav"))
    assert complete_transcription(test_mode, url)["response"]["duration"] == 120


def test_a_recording_of_31_minutes_is_an_error(test_mode: ApiClient, media: MediaServer) -> None:
    task = complete_transcription(test_mode, f"{media.url}/calls/31-minutes.wav")
    assert task["status"] == "error"
    assert "longer than 30 minutes" in task["response"]["error"]
    assert task["completed_at"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing.png", 404),
        ("/forbidden.png", 403),
        ("/down.png", 500),
        ("/round.png", 0),
        ("/hop-6.png", 0),
        ("/broken-off.png", 0),
    ],
)
def test_missing_attachment(path: str, code: int, test_mode: ApiClient, media: MediaServer) -> None:
    url = f"{media.url}{path}?X-Amz-Signature=0"
    task = complete_box_task(test_mode, url)
    assert task["status"] == "error"
    assert task["response"] == {
        "error": "One or more attachments could not be downloaded.",
        "attachments": [{"statusCode": code, "url": url}],
    }


def test_only_bad_attachments_are_named(test_mode: ApiClient, media: MediaServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        unreachable = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
    request = {
        "instruction": "Same?",
        "attachment_type": "image",
        "attachments": [f"{media.url}/small.png", f"{media.url}/missing.png", unreachable],
        "choices": ["yes", "no"],
    }
    response = test_mode.wait_until_done(test_mode.create("comparison", request))["response"]
    assert response["attachments"] == [
        {"statusCode": 404, "url": f"{media.url}/missing.png"},
        {"statusCode": 0, "url": unreachable},
    ]


def test_a_redirect_is_followed(test_mode: ApiClient, media: MediaServer) -> None:
    for path in ("/moved.png", "/hop-5.png"):
        for box in complete_box_task(test_mode, media.url + path)["response"]["annotations"]:
            assert box["left"] + box["width"] <= 31


def test_attachment_that_recovers_is_fetched_again(test_mode: ApiClient, media: MediaServer) -> None:
    url = f"{media.url}/recovered.png"
    assert complete_box_task(test_mode, url)["status"] == "error"
    media.serve("/recovered.png", file_response(picture(9, 9), "image/png"))
    assert complete_box_task(test_mode, url)["status"] == "completed"


def test_tasks_that_share_an_attachment_fetch_it_once(test_mode: ApiClient, media: MediaServer) -> None:
    url = media.serve("/shared.png", file_response(picture(), "image/png"))
    request = {"attachment": url, "objects_to_annotate": ["car"]}
    for task in [test_mode.create("annotation", request) for _ in range(30)]:
        assert test_mode.wait_until_done(task)["status"] == "completed"
    assert media.count("/shared.png") == 1


def test_text_that_looks_like_a_url_is_not_fetched(test_mode: ApiClient, media: MediaServer) -> None:
    assert test_mode.wait_until_done(test_mode.create_text_task(f"{media.url}/secret"))["status"] == "completed"
    assert media.count("/secret") == 0


def test_live_tasks_have_individual_turnarounds(tmp_path: Path) -> None:
    with running(log=tmp_path / "log", turnaround="0.2-0.6") as url:
        live = ApiClient(url, "live")
        tasks = [live.wait_until_done(task) for task in [live.create_text_task(str(i)) for i in range(8)]]
        turnarounds = [_turnaround(task) for task in tasks]
        assert all(0.19 <= seconds < 2 for seconds in turnarounds)
        assert max(turnarounds) - min(turnarounds) > 0.05
        assert not any("is_test" in task for task in tasks)


def test_canceled_task_is_not_answered(tmp_path: Path) -> None:
    with running(log=tmp_path / "log", turnaround="0.2") as url:
        live = ApiClient(url, "live")
        canceled, kept = live.create_text_task("one"), live.create_text_task("two")
        live.ok("POST", f"/task/{canceled['task_id']}/cancel")
        wait_until(lambda: live.list_task_ids(status="completed") == [kept["task_id"]])
        assert live.get(canceled["task_id"]) == {**canceled, "status": "canceled"}


def test_task_canceled_during_attachment_fetch_stays_canceled(test_mode: ApiClient, media: MediaServer) -> None:
    canceled = threading.Event()

    def slow(handler: Handler) -> None:
        canceled.wait(10)
        handler.answer(200, picture(), {"Content-Type": "image/png"})

    request = {"attachment": media.serve("/awaited.png", slow), "objects_to_annotate": ["car"]}
    first, second = test_mode.create("annotation", request), test_mode.create("annotation", request)
    wait_until(lambda: media.count("/awaited.png"))
    test_mode.ok("POST", f"/task/{first['task_id']}/cancel")
    canceled.set()
    assert test_mode.wait_until_done(second)["status"] == "completed"
    assert test_mode.get(first["task_id"]) == {**first, "status": "canceled"}


def _turnaround(task: dict[str, Any]) -> float:
    completed, created = parse_time(task["completed_at"]), parse_time(task["created_at"])
    assert completed
    assert created
    return (completed - created).total_seconds()
