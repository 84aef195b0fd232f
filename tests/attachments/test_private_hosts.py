"""Attachments at addresses that Scale cannot reach: none of them gets a request."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.planning.plan import Plan
from labelflow.scale.models import LIVE_URL
from labelflow.storage import s3
from tests.support.attachments import find_problems
from tests.support.jobs import make_job
from tests.support.media_server import MediaServer, file_response, picture, redirect
from tests.support.s3_servers import StrictS3

UNUSED_PUBLIC_ADDRESS = "2e00::1"  # of a range that belongs to no network


@pytest.fixture
def checker() -> Iterator[AttachmentChecker]:
    with AttachmentChecker(CheckLevel.AUTO, timeout=2) as checker:
        yield checker


@pytest.fixture
def picture_url(media: MediaServer) -> str:
    return media.serve("/a.png", file_response(picture(), "image/png"))


def reason_for(checker: AttachmentChecker, uri: str) -> str:
    (problem,) = find_problems(checker, [Attachment("attachment", uri, "image")])
    return problem.reason if problem else ""


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0", "[::ffff:7f00:1]"]
)
def test_private_host_in_any_notation_gets_no_connection(
    media: MediaServer, picture_url: str, checker: AttachmentChecker, host: str
) -> None:
    reason = reason_for(checker, picture_url.replace("127.0.0.1", host))
    assert reason.startswith("is on a host that Scale cannot reach: ")
    assert media.connections == 0


def test_private_addresses_are_allowed_on_request(media: MediaServer, picture_url: str) -> None:
    with AttachmentChecker(CheckLevel.AUTO, allow_private=True) as checker:
        assert reason_for(checker, picture_url) == ""
    assert media.connections == 1


def answer_names(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> None:
    """Let names resolve to these addresses; each look-up of a name gets the next answer."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in answers:
            return real(host, port, *args, **options)
        addresses = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [found for address in addresses for found in real(address, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_name_of_which_one_address_is_private_gets_no_connection(
    media: MediaServer, picture_url: str, checker: AttachmentChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_names(monkeypatch, {"pictures.example": [[UNUSED_PUBLIC_ADDRESS, "127.0.0.1"]]})
    reason = reason_for(checker, picture_url.replace("127.0.0.1", "pictures.example"))
    assert reason == "is on a host that Scale cannot reach: 127.0.0.1 is not a public address"
    assert media.connections == 0


def test_name_that_changes_its_address_after_the_check_gets_no_connection(
    media: MediaServer, picture_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_names(monkeypatch, {"pictures.example": [[UNUSED_PUBLIC_ADDRESS], ["127.0.0.1"]]})
    with AttachmentChecker(CheckLevel.AUTO, timeout=0.5) as checker:
        assert reason_for(checker, picture_url.replace("127.0.0.1", "pictures.example"))
    assert media.connections == 0


@pytest.mark.parametrize("target", ["http://127.0.0.1/a.png", "http://localhost:{port}/a.png"])
def test_redirect_to_a_private_host_is_refused(
    media: MediaServer, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """The first host is reached through a proxy, the second host is not."""
    monkeypatch.setenv("http_proxy", media.url)
    monkeypatch.setenv("no_proxy", "localhost")
    url = "http://pictures.example/moved"
    media.serve(url, redirect(target.format(port=media.url.rpartition(":")[2])))
    with AttachmentChecker(CheckLevel.AUTO) as checker:
        assert reason_for(checker, url).startswith("is on a host that Scale cannot reach: ")
    assert [path for _, path, _ in media.requests] == [url]


PASSWORD = "hunter2"


@pytest.mark.parametrize("level", [CheckLevel.AUTO, CheckLevel.OFF])
def test_url_with_a_password_is_refused_without_showing_it(
    media: MediaServer, picture_url: str, level: CheckLevel
) -> None:
    with AttachmentChecker(level, allow_private=True) as checker:
        (problem,) = find_problems(
            checker, [Attachment("a", picture_url.replace("://", f"://user:{PASSWORD}@"), "image")]
        )
    assert problem
    assert problem.reason == "contains a user name or a password, which Scale does not use"
    assert PASSWORD not in str(problem)
    assert media.connections == 0


def test_invalid_url_with_a_password_is_refused_without_showing_it(checker: AttachmentChecker) -> None:
    for url in (f"user:{PASSWORD}@host/a.png", f"ftp://user:{PASSWORD}@host/a.png", f"u:{PASSWORD}@ftp://host/"):
        (problem,) = find_problems(checker, [Attachment("attachment", url, "image")])
        assert problem
        assert PASSWORD not in str(problem)


def test_password_in_a_redirect_is_not_sent(media: MediaServer, picture_url: str) -> None:
    moved = media.serve("/moved", redirect(picture_url.replace("://", f"://user:{PASSWORD}@")))
    with AttachmentChecker(CheckLevel.AUTO, allow_private=True) as checker:
        assert reason_for(checker, moved) == "redirects to a URL with a user name or a password"
    assert media.count("/a.png") == 0


def test_proxy_gets_names_but_no_private_addresses(media: MediaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy resolves names itself, and may be private."""
    monkeypatch.setenv("http_proxy", media.url)
    media.serve("http://pictures.example/a.png", file_response(picture(), "image/png"))
    media.serve("http://127.0.0.1/a.png", file_response(picture(), "image/png"))
    with AttachmentChecker(CheckLevel.AUTO) as behind_proxy:
        assert reason_for(behind_proxy, "http://pictures.example/a.png") == ""
        for host in ("127.0.0.1", "169.254.169.254", "localhost", "0x7f000001"):
            assert "cannot reach" in reason_for(behind_proxy, f"http://{host}/a.png")
    assert [path for _, path, _ in media.requests] == ["http://pictures.example/a.png"]


def test_s3_endpoint_may_be_private(strict_s3: StrictS3, checker: AttachmentChecker) -> None:
    s3.put_bytes("s3://bucket/a.png", picture())
    assert reason_for(checker, "s3://bucket/a.png") == ""


@pytest.mark.parametrize(
    ("url", "allow_private", "rejected"),
    [
        (LIVE_URL, False, 1),
        ("http://8.8.8.8/v1", False, 1),
        (LIVE_URL, True, 0),
        ("http://127.0.0.1:1/v1", False, 0),
        ("http://localhost:1/v1", False, 0),
    ],
)
def test_job_allows_private_hosts_if_it_says_so_or_if_its_api_is_private(
    tmp_path: Path, picture_url: str, url: str, allow_private: bool, rejected: int
) -> None:
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "1", "url": picture_url}) + "\n")
    task = {"type": "annotation", "instruction": "i", "attachment": "{url}", "objects_to_annotate": ["car"]}
    job = make_job(tmp_path, task=task, scale__url=url, attachments__allow_private=allow_private)
    with closing(Plan(job)) as plan:
        assert plan.preview().reject == rejected
