"""Servers with malformed responses: each attachment check gives a result within a time limit."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.downloads import fetcher
from labelflow.problems import Problem
from tests.properties.conftest import cases, check_readable, time_limit
from tests.support.attachments import find_problems
from tests.support.media_server import Handler, MediaServer, Route, picture, tiff_with_late_header, wav

TIMEOUT = 1.0  # seconds; the checker's limit for one attachment
SECONDS = 15.0  # for a few attachments, on a busy machine
SECRET = "5ec2e7"  # signature of the URLs, which no message may contain
KINDS = ["image", "audio", "video", "pdf", "website", "text", "lidar"]

PNG, GIF, WAV = picture(), picture(kind="GIF"), wav(1)
HUGE_PNG = PNG[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + PNG[24:]
FILES = [
    PNG,
    GIF,
    WAV,
    HUGE_PNG,
    picture(kind="JPEG"),
    picture(kind="WEBP"),
    picture(kind="BMP")[:18] + b"\xff" * 8,
    b"GIF89a" + b"\xff" * 10,
    tiff_with_late_header(8, 6, 100),
    tiff_with_late_header(8, 6, 100)[:20],
    b"II*\0" + b"\xff" * 4,
    WAV[:40] + b"\xff" * 8,
    wav(31 * 60, rate=10)[:5000],
    b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + b"\xff\xfb\x90\x00" * 50,
    b"fLaC" + b"\x00" * 60,
    b"OggS" + b"\xff" * 60,
    b"\0\0\0\x20ftypM4A " + b"\xff" * 60,
    b"\x1aE\xdf\xa3" + b"\xff" * 60,
    b"%PDF-1.4",
    b"<!DOCTYPE html><title>A preview</title>",
    b"",
    b"\x00",
]
STATUSES = [
    200,
    206,
    201,
    204,
    100,
    101,
    301,
    302,
    303,
    304,
    307,
    308,
    400,
    401,
    403,
    404,
    408,
    410,
    416,
    418,
    429,
    500,
    503,
    599,
    600,
    999,
]
TYPES = [
    "image/png",
    "audio/wav",
    "video/mp4",
    "text/html",
    "application/pdf",
    "application/octet-stream",
    "",
    ";",
    "x",
    "\xff",
]

contents = st.sampled_from(FILES) | st.binary(max_size=60)
corrupted_contents = st.builds(
    lambda content, start, new, drop: content[:start] + new + content[start + drop :],
    contents,
    st.integers(0, 80),
    st.binary(max_size=4),
    st.integers(0, 6),
)
numbers = st.sampled_from(["0", "1", "5", "99999999999999999999999", "-1", "1e3", "x", "", " ", "²", "٣"])
headers = st.one_of(
    st.tuples(st.just("Content-Type"), st.sampled_from(TYPES)),
    st.tuples(st.just("Content-Length"), numbers),
    st.tuples(st.just("Content-Encoding"), st.sampled_from(["gzip", "br", "deflate", "identity", "x", ""])),
    st.tuples(
        st.just("Content-Range"),
        st.sampled_from(["bytes 0-9/10", "bytes */*", "x", "bytes 5-1/0", "/²", "/" + "9" * 50]),
    ),
    st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "x"])),
    st.tuples(
        st.just("Location"),
        st.sampled_from(
            [
                "/0",
                "/1",
                "/2",
                "",
                "http://[",
                "//",
                "ftp://x/",
                "http://127.0.0.1:1/",
                "?a",
                "/\xff",
                "http://x:99999/",
                "http://\x00/",
                "javascript:1",
            ]
        ),
    ),
    st.tuples(st.just("Retry-After"), numbers | st.sampled_from(["Mon, 99 Foo 2026", "Thu, 01 Jan 1970 00:00:00 GMT"])),
    st.tuples(st.just("Connection"), st.sampled_from(["close", "keep-alive"])),
    st.tuples(
        st.text("ABCxyz-", min_size=1, max_size=8),
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20),
    ),
)


@dataclass(frozen=True)
class HttpResponse:
    """A response of a server; `ending`: how it ends."""

    status: int = 200
    status_line: bytes | None = None  # instead of a valid one
    headers: list[tuple[str, str]] = field(default_factory=list)
    content: bytes = b""
    ending: str = "length"

    def route(self) -> Route:
        return self._respond

    def _respond(self, handler: Handler) -> None:
        handler.close_connection = True
        line = self.status_line if self.status_line is not None else b"HTTP/1.1 %d Odd" % self.status
        lines = [line, *(f"{name}: {value}".encode("latin-1", "replace") for name, value in self.headers)]
        if self.ending == "length" and not any(name == "Content-Length" for name, _ in self.headers):
            lines.append(b"Content-Length: %d" % len(self.content))
        if self.ending == "many headers":
            lines += [b"X-%d: y" % number for number in range(200)]
        if self.ending == "long header":
            lines.append(b"X-Long: " + b"y" * 70_000)
        if self.ending == "silence":
            time.sleep(TIMEOUT * 1.2)
            return
        handler.send(b"\r\n".join(lines) + (b"" if self.ending == "cut head" else b"\r\n\r\n"))
        handler.send(self.content)
        until = time.monotonic() + TIMEOUT * 1.5
        while self.ending in ("endless", "dripping") and time.monotonic() < until:
            handler.send(b"\x89" if self.ending == "dripping" else bytes(1 << 14))
            time.sleep(0.05 if self.ending == "dripping" else 0)


quick_endings = st.sampled_from(["length", "length", "length", "close", "cut head", "many headers", "long header"])
slow_endings = st.sampled_from(["silence", "dripping", "endless"])
responses = st.builds(
    HttpResponse,
    status=st.sampled_from(STATUSES) | st.just(200) | st.sampled_from([301, 302, 307]),
    status_line=st.none()
    | st.none()
    | st.sampled_from(
        [b"", b"HTTP/1.1", b"HTTP/9.9 200 OK", b"ICY 200 OK", b"\xff\x00", b"HTTP/1.1 -1 x", b"HTTP/1.1 abc"]
    ),
    headers=st.lists(headers, max_size=4),
    content=contents | corrupted_contents,
    ending=st.integers(0, 100).flatmap(lambda n: slow_endings if n == 100 else quick_endings),
)


def valid_response(kind: str, content: bytes) -> tuple[str, HttpResponse]:
    """A valid attachment."""
    return kind, HttpResponse(content=content)


@pytest.fixture(scope="module")
def server() -> Iterator[MediaServer]:
    server = MediaServer()
    quick = replace(fetcher.RETRIES, initial_delay=0.01, max_delay=0.02)
    with mock.patch.object(fetcher, "RETRIES", quick):
        yield server
    server.close()


def check_all(server: MediaServer, targets: list[tuple[str, str]], level: CheckLevel) -> list[Problem | None]:
    """Check the attachments at these paths; returns their problems. Checks the time and the messages."""
    attachments = [
        Attachment("attachment", f"{server.url}{path}?X-Amz-Signature={SECRET}", kind) for path, kind in targets
    ]
    with time_limit(SECONDS), AttachmentChecker(level, threads=8, timeout=TIMEOUT, allow_private=True) as checker:
        start = time.monotonic()
        problems = find_problems(checker, attachments)
        assert time.monotonic() - start < TIMEOUT * 3 + 4
    assert len(problems) == len(attachments)
    for problem in filter(None, problems):
        assert problem.field == "attachment"
        assert problem.fix
        assert SECRET not in str(problem)
        check_readable(str(problem))
        assert "\n" not in str(problem)
    return problems


@cases(default=40, share=0.9)
@given(
    asked=st.lists(st.tuples(st.sampled_from(KINDS), responses), min_size=1, max_size=4),
    level=st.sampled_from([CheckLevel.AUTO, CheckLevel.CONTENT, CheckLevel.EXISTS]),
)
def test_every_server_response_gives_a_result(
    server: MediaServer,
    caplog: pytest.LogCaptureFixture,
    asked: list[tuple[str, HttpResponse]],
    level: CheckLevel,
) -> None:
    caplog.clear()
    cases_to_check = [*asked, valid_response("image", PNG), valid_response("audio", WAV)]
    server.routes = {f"/{number}": answer.route() for number, (_, answer) in enumerate(cases_to_check)}
    problems = check_all(server, [(f"/{number}", kind) for number, (kind, _) in enumerate(cases_to_check)], level)
    assert problems[-2:] == [None, None], "a valid attachment is rejected"
    assert SECRET not in caplog.text, "a signature is in the log"
    for (kind, answer), problem in zip(asked, problems, strict=False):
        is_redirect = 300 <= answer.status < 400
        if (
            kind != "text"
            and answer.status_line is None
            and answer.status not in (200, 206, 100, 416)
            and not is_redirect
        ):
            assert problem, f"status {answer.status} was accepted"
        if kind == "image" and answer == HttpResponse(content=HUGE_PNG) and level is not CheckLevel.EXISTS:
            assert problem, "an image of 2,147,483,647 pixels per side was accepted"


uris = st.text(max_size=30) | st.builds(
    lambda scheme, rest: scheme + rest,
    st.sampled_from(
        ["http://", "HTTP://", "https:", "s3://", "file://", "data:", "//", "http://[", "http://127.0.0.1:9/"]
    ),
    st.text(max_size=12)
    | st.sampled_from(["", "/", "@", ":", ":99999/", "[::1", "\x00", " ", "..", "%", "xn--\ud800"]),
)


@cases(default=40, share=0.1)
@given(wanted=st.lists(st.tuples(st.sampled_from(KINDS), uris), max_size=5))
def test_every_attachment_value_gives_a_result(wanted: list[tuple[str, str]]) -> None:
    attachments = [Attachment("attachment", uri, kind) for kind, uri in wanted]
    with time_limit(SECONDS), AttachmentChecker(CheckLevel.OFF, threads=2, allow_private=True) as checker:
        problems = find_problems(checker, attachments)
    assert len(problems) == len(attachments)
    for (kind, uri), problem in zip(wanted, problems, strict=True):
        if problem:
            check_readable(str(problem))
        if kind != "text" and not uri.lower().startswith(("http://", "https://", "s3://")):
            assert problem, "an invalid URL was accepted"
