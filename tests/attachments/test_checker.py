"""Attachments of every scheme: URI syntax, check levels, limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.attachments.attachment import ProbeResult
from labelflow.attachments.limits import validate
from labelflow.attachments.schemes import open_schemes
from labelflow.media import Duration, Media
from labelflow.problems import Problem
from tests.support.attachments import find_problems
from tests.support.media_server import MediaServer, file_response, picture

JPEG, WEBP, MP4, OGG, MP3 = b"\xff\xd8\xff\xe0", b"RIFF....WEBPVP8 ", b"\0\0\0\x20ftypisom", b"OggS\0", b"ID3\4"


@pytest.fixture
def offline() -> Iterator[AttachmentChecker]:
    with AttachmentChecker(CheckLevel.OFF, allow_private=True) as checker:
        yield checker


def check_one(checker: AttachmentChecker, uri: str, kind: str = "image") -> Problem | None:
    (problem,) = find_problems(checker, [Attachment("attachment", uri, kind)])
    return problem


def test_every_scheme_is_registered() -> None:
    class Nobody:
        def submit(self) -> None: ...

    assert sorted(open_schemes(Nobody(), 1, 1.0, allow_private=False)) == ["gs", "http", "https", "s3", "scaledata"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri",
    ["http://host/a", "HTTPS://host/a", "s3://bucket/key", "http://127.0.0.1:1/x", "gs://b/a b.png", "scaledata://1/2"],
)
def test_level_off_checks_only_the_syntax(offline: AttachmentChecker, uri: str) -> None:
    assert check_one(offline, uri) is None


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("ftp://host/a.jpg", "has the unknown scheme 'ftp'"),
        ("images/a.jpg", "is not a valid URL: 'images/a.jpg'"),
        ("", "is not a valid URL: ''"),
        ("file:///etc/passwd", "has the unknown scheme 'file'"),
        ("a.jpg?next=http://host/&sig=SECRET", "is not a valid URL: 'a.jpg'"),
        ("https:///a.jpg", "has no host"),
        ("http://[broken/a.jpg", "has no host"),
        ("s3://bucket", "names a bucket but no object"),
        ("s3:///key", "'s3:///key' is not a valid S3 URI"),
        ("gs://bucket", "is not a complete gs:// URI"),
        ("scaledata:///key", "is not a complete scaledata:// URI"),
    ],
)
def test_invalid_uri_syntax_is_rejected(offline: AttachmentChecker, uri: str, reason: str) -> None:
    problem = check_one(offline, uri)
    assert problem
    assert problem.reason == reason
    assert problem.fix
    assert "SECRET" not in str(problem)


def test_text_is_rejected_only_when_empty() -> None:
    with AttachmentChecker(CheckLevel.CONTENT, allow_private=True) as checker:
        assert check_one(checker, "Is this http://x a review?", "text") is None
        problem = check_one(checker, " \n", "text")
    assert problem
    assert (problem.field, problem.reason) == ("attachment", "is empty")


def test_results_keep_their_order_and_each_uri_is_probed_once(media: MediaServer) -> None:
    good = media.serve("/good.png", file_response(picture(), "image/png"))
    bad = f"{media.url}/bad"
    uris = [good, bad, "ftp://x", good, bad, good]
    with AttachmentChecker(CheckLevel.AUTO, allow_private=True) as checker:
        problems = find_problems(checker, [Attachment(f"attachments[{i}]", uri, "image") for i, uri in enumerate(uris)])
    assert [problem and problem.field for problem in problems] == [
        None,
        "attachments[1]",
        "attachments[2]",
        None,
        "attachments[4]",
        None,
    ]
    assert media.count("/good.png") == media.count("/bad") == 1


def test_empty_batch_is_accepted(offline: AttachmentChecker) -> None:
    assert find_problems(offline, []) == []


def reason_for(kind: str, result: ProbeResult) -> str | None:
    rejection = validate(kind, result)
    return rejection.reason if rejection else None


@pytest.mark.parametrize(
    ("kind", "content_type", "head"),
    [
        ("image", "image/jpeg", JPEG),
        ("image", "text/plain", JPEG),
        ("image", None, JPEG),
        ("audio", "video/ogg", MP3),
        ("audio", "audio/ogg", OGG),
        ("audio", "application/octet-stream", MP4),
        ("video", "application/octet-stream", MP4),
        ("video", None, OGG),
        ("video", "application/vnd.apple.mpegurl", b"#EXTM3U"),
        ("website", "text/html; charset=utf-8", b"hello"),
        ("website", "text/plain", b"hello"),
        ("website", "application/xml", b"<?xml"),
        ("pdf", "application/octet-stream", b"%PDF-1.7"),
        ("lidar", "application/json", b"{}"),
    ],
)
def test_matching_media_is_accepted(kind: str, content_type: str | None, head: bytes) -> None:
    assert reason_for(kind, ProbeResult(100, content_type, head)) is None


@pytest.mark.parametrize(
    ("kind", "content_type", "head", "reason"),
    [
        ("image", "text/html", b"<html>", "is a web page (text/html), not an image"),
        ("image", "image/jpeg", b"<!doctype html>", "is a web page (declared as image/jpeg), not an image"),
        ("image", "application/json; a=b", b"{}", "is JSON (declared as application/json), not an image"),
        ("image", None, b"%PDF-1.7", "is a PDF, not an image"),
        ("image", "text/plain", b"404", "is plain text (text/plain), not an image"),
        ("image", "image/webp", WEBP, "is a WebP image, which Scale does not accept"),
        (
            "image",
            "image/svg+xml",
            b"<svg>",
            "is an SVG image, which Scale does not accept",
        ),
        ("audio", "video/mp4", MP4, "is a video (video/mp4), not audio"),
        ("audio", None, JPEG, "is an image, not audio"),
        ("video", "audio/mpeg", MP3, "is audio (audio/mpeg), not a video"),
        ("pdf", "text/html", b"<html>", "is a web page (text/html), not a PDF"),
        ("website", "image/jpeg", JPEG, "is an image (image/jpeg), not a web page"),
    ],
)
def test_mismatched_media_is_rejected(kind: str, content_type: str | None, head: bytes, reason: str) -> None:
    assert reason_for(kind, ProbeResult(100, content_type, head)) == reason


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        (Media("image", None, 10_000, 10_000), None),
        (Media("image", None, 12_000, 800), "is 12000 × 800 pixels"),
        (Media("image", None, 800, 10_001), "is 800 × 10001 pixels"),
        (Media("image"), "is a corrupt image: its dimensions cannot be read"),
        (None, None),
    ],
)
def test_image_limits(media: Media | None, reason: str | None) -> None:
    assert reason_for("image", ProbeResult(100, "image/jpeg", JPEG, media)) == reason


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (None, None),
        (1800.0, None),
        (1800.4, "is 1800.4 seconds long"),
        (1860.0, "is 31.0 minutes long"),
    ],
)
def test_audio_limits(seconds: float | None, reason: str | None) -> None:
    assert (
        reason_for(
            "audio",
            ProbeResult(
                100, "audio/mpeg", MP3, Media("audio", duration=None if seconds is None else Duration(seconds))
            ),
        )
        == reason
    )


def test_empty_file_is_rejected_for_every_kind() -> None:
    assert reason_for("lidar", ProbeResult(0, None)) == "is empty (0 bytes)"
    assert reason_for("image", ProbeResult(0, "image/jpeg")) == "is empty (0 bytes)"
