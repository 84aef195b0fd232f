"""Sandboxes as processes, a server of attachments, and a receiver of callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labelflow.sandbox.testing import running
from tests.media.files import mp4
from tests.support.examples import examples
from tests.support.media_server import MediaServer, file_response, picture, redirect, status_response, truncated, wav
from tests.support.sandbox_client import ApiClient, CallbackRecorder

PDF = b"%PDF-1.4 an invoice"
PAGE = b"<!doctype html><title>A company</title>"


@pytest.fixture(scope="session")
def media() -> Iterator[MediaServer]:
    """A server of all attachments of the API examples, and of some that fail."""
    server = MediaServer()
    jpeg = picture(640, 480, "JPEG")
    for path in (
        "street/000017",
        "street/000018",
        "street/000019",
        "street/000020",
        "animals/0001",
        "shop/a",
        "shop/b",
        "receipts/881-1",
        "drive/7/000",
        "drive/7/001",
    ):
        server.serve(f"/{path}.jpg", file_response(jpeg, "image/jpeg"))
    server.serve("/street/000021.png", file_response(picture(64, 48), "image/png"))
    server.serve("/clips/7.mp4", file_response(mp4(2, b"vide"), "video/mp4"))
    for frame in (0, 1):
        server.serve(f"/lidar/7/{frame}.json", file_response(b'{"points": []}', "application/json"))
    server.serve("/calls/0042.wav", file_response(wav(12.5), "audio/wav"))
    server.serve("/calls/31-minutes.wav", file_response(wav(31 * 60), "audio/wav"))
    server.serve("/invoices/881.pdf", file_response(PDF, "application/pdf"))
    server.serve("/company/", file_response(PAGE, "text/html"))
    server.serve("/small.png", file_response(picture(31, 17), "image/png"))
    server.serve("/moved.png", redirect("/small.png"))
    for hop in range(1, 7):
        server.serve(f"/hop-{hop}.png", redirect(f"/hop-{hop - 1}.png" if hop > 1 else "/small.png"))
    server.serve("/broken-off.png", truncated(picture(), "image/png"))
    server.serve("/round.png", redirect("/round.png"))
    server.serve("/forbidden.png", status_response(403))
    server.serve("/down.png", status_response(500))
    yield server
    server.close()


@pytest.fixture(scope="session")
def receiver() -> Iterator[CallbackRecorder]:
    """A receiver of callbacks."""
    server = CallbackRecorder()
    yield server
    server.close()


@pytest.fixture(scope="session")
def local_example(media: MediaServer, receiver: CallbackRecorder) -> Callable[[str], dict[str, Any]]:
    """Return an API example with local URLs."""

    def example(name: str) -> dict[str, Any]:
        text = json.dumps(examples()[name])
        text = text.replace("https://media.example.com", media.url)
        text = text.replace("https://company.example.com", f"{media.url}/company")
        doc: dict[str, Any] = json.loads(text.replace("https://labels.example.com", receiver.url))
        return doc

    return example


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox with the current API, in which live tasks stay pending."""
    with running(log=tmp_path_factory.mktemp("sandbox") / "log", turnaround=3600) as url:
        yield url


@pytest.fixture(scope="module")
def url_2017(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox with the 2017 API, in which live tasks stay pending."""
    with running(log=tmp_path_factory.mktemp("sandbox") / "log", turnaround=3600, api="2017") as url:
        yield url


@pytest.fixture
def test_mode(url: str) -> ApiClient:
    """An API client with a test key."""
    return ApiClient(url, "test")


@pytest.fixture
def live(url: str) -> ApiClient:
    """An API client with a live key."""
    return ApiClient(url, "live")
