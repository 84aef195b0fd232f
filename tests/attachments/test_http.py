"""Attachments over HTTP, on real sockets: each kind of trouble, and what a look costs."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.attachments.attachment import AttachmentRejected
from labelflow.attachments.circuit_breaker import COOLDOWN_SECONDS, FAILURE_THRESHOLD, CircuitBreaker, HostUnreachable
from labelflow.problems import Problem
from labelflow.storage import s3
from tests.support.media_server import (
    PAGE,
    Handler,
    MediaServer,
    broken_off,
    chunked,
    dripping,
    endless,
    file,
    in_turn,
    late_tiff,
    picture,
    redirect,
    silent,
    status,
    wav,
)
from tests.support.s3_servers import StrictS3

HEAD = 64 * 1024
BUDGET = 2 * 1024 * 1024


@pytest.fixture
def checker() -> Iterator[AttachmentChecker]:
    with AttachmentChecker(CheckLevel.AUTO, timeout=5) as checker:
        yield checker


def look(checker: AttachmentChecker, uri: str, kind: str = "image") -> Problem | None:
    (problem,) = checker.check([Attachment("attachment", uri, kind)])
    return problem


def reason(checker: AttachmentChecker, uri: str, kind: str = "image") -> str:
    problem = look(checker, uri, kind)
    assert problem, "nothing was found to be wrong"
    assert problem.field == "attachment"
    assert problem.fix
    return problem.reason


def test_a_good_file_costs_one_get_of_its_head(media: MediaServer, checker: AttachmentChecker) -> None:
    content = picture() + bytes(200_000)
    assert look(checker, media.serve("/a.png", file(content, "image/png"))) is None
    ((method, _, headers),) = media.requests
    assert method == "GET"
    assert headers["Range"] == "bytes=0-65535"
    assert headers["Accept-Encoding"] == "identity"
    assert media.sent == HEAD


def test_exists_reads_one_byte_and_trusts_the_declared_type(media: MediaServer) -> None:
    media.serve("/a.png", file(picture(20_000, 1), "image/png"))
    media.serve("/empty.png", file(b"", "image/png"))
    with AttachmentChecker(CheckLevel.EXISTS) as checker:
        assert look(checker, f"{media.url}/a.png") is None
        assert media.sent == 1
        assert reason(checker, f"{media.url}/a.png", "audio") == "is an image (image/png), not audio"
        assert reason(checker, f"{media.url}/empty.png") == "is empty (0 bytes)"
        assert reason(checker, f"{media.url}/missing") == "answered 404 (Not Found)"


def test_off_sends_nothing(media: MediaServer) -> None:
    with AttachmentChecker(CheckLevel.OFF) as checker:
        assert look(checker, f"{media.url}/missing") is None
    assert media.requests == []


@pytest.mark.parametrize("code", [204, 400, 401, 403, 404, 405, 410, 451])
def test_an_answer_other_than_200_is_told_at_once(media: MediaServer, checker: AttachmentChecker, code: int) -> None:
    assert reason(checker, media.serve("/a", status(code))).startswith(f"answered {code} (")
    assert media.count("/a") == 1


def test_passing_trouble_is_tried_again_and_then_told(media: MediaServer, checker: AttachmentChecker) -> None:
    codes = [408, 429, 500, 503, 529]
    urls = [media.serve(f"/{code}", status(code)) for code in codes]
    problems = checker.check([Attachment("attachment", url, "image") for url in urls])
    for code, problem in zip(codes, problems, strict=True):
        assert problem
        assert problem.reason.startswith(f"answered {code}")
        assert media.count(f"/{code}") == 3


def test_trouble_that_passes_is_no_problem(media: MediaServer, checker: AttachmentChecker) -> None:
    route = in_turn(status(503), silent(0), file(picture(), "image/png"))
    assert look(checker, media.serve("/a", route)) is None
    assert media.count("/a") == 3


def test_a_longer_pause_than_there_is_time_is_not_waited_for(media: MediaServer, checker: AttachmentChecker) -> None:
    started = time.monotonic()
    assert reason(checker, media.serve("/a", status(429, {"Retry-After": "3600"}))).startswith("answered 429")
    assert media.count("/a") == 1
    assert time.monotonic() - started < 2


def test_a_short_pause_is_honoured(media: MediaServer, checker: AttachmentChecker) -> None:
    route = in_turn(status(429, {"Retry-After": "1"}), file(picture(), "image/png"))
    started = time.monotonic()
    assert look(checker, media.serve("/a", route)) is None
    assert time.monotonic() - started >= 1


def test_a_page_where_an_image_should_be(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/cat", file(PAGE, "text/html; charset=utf-8"))
    problem = look(checker, url)
    assert problem == Problem(
        "attachment",
        "is a web page (text/html), not an image",
        "use the URL of the file itself, not of a page that shows it",
    )
    assert look(checker, url, "website") is None


def test_content_decides_over_a_wrong_declaration(media: MediaServer, checker: AttachmentChecker) -> None:
    assert look(checker, media.serve("/a", file(picture(), "text/plain"))) is None
    lying = media.serve("/b", file(PAGE, "image/jpeg"))
    assert reason(checker, lying) == "is a web page (declared as image/jpeg), not an image"


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_file(media: MediaServer, checker: AttachmentChecker, ranges: bool) -> None:
    """With ranges it answers 416 first: an empty file has no first byte."""
    assert reason(checker, media.serve("/a", file(b"", "image/png", ranges=ranges))) == "is empty (0 bytes)"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
def test_the_formats_that_are_taken(media: MediaServer, checker: AttachmentChecker, kind: str) -> None:
    assert look(checker, media.serve("/a", file(picture(300, 200, kind)))) is None


def test_a_format_that_is_not_taken(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/a", file(picture(300, 200, "WEBP"), "image/webp"))
    assert reason(checker, url) == "is image/webp in a format that is not taken"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
def test_an_image_that_is_too_large(media: MediaServer, checker: AttachmentChecker, kind: str) -> None:
    assert reason(checker, media.serve("/a", file(picture(12_000, 80, kind)))) == "is 12000 × 80 pixels"


def test_pixels_behind_the_head_are_found(media: MediaServer, checker: AttachmentChecker) -> None:
    """The rest is not downloaded."""
    url = media.serve("/a.tif", file(late_tiff(12_000, 800, 9_600_000), "image/tiff"))
    assert reason(checker, url) == "is 12000 × 800 pixels"
    assert media.count("/a.tif") == 2
    assert media.sent <= 2 * HEAD


def test_pixels_too_far_behind_the_head_where_ranges_are_ignored(
    media: MediaServer, checker: AttachmentChecker
) -> None:
    content = late_tiff(12_000, 800, 9_600_000)
    assert look(checker, media.serve("/a.tif", file(content, "image/tiff", ranges=False))) is None
    assert media.count("/a.tif") == 1


def test_pixels_behind_the_head_where_ranges_are_ignored(media: MediaServer, checker: AttachmentChecker) -> None:
    content = late_tiff(12_000, 80, 960_000)
    url = media.serve("/a.tif", file(content, "image/tiff", ranges=False))
    assert reason(checker, url) == "is 12000 × 80 pixels"


def test_a_server_that_ignores_ranges_is_not_downloaded_from(media: MediaServer, checker: AttachmentChecker) -> None:
    content = picture() + bytes(50_000_000)
    assert look(checker, media.serve("/a.png", file(content, "image/png", ranges=False))) is None
    assert media.count("/a.png") == 1


@pytest.mark.parametrize("kind", ["image", "audio", "video", "pdf", "website"])
def test_a_body_without_end_is_left(media: MediaServer, checker: AttachmentChecker, kind: str) -> None:
    started = time.monotonic()
    problem = look(checker, media.serve("/a", endless(picture(), "image/png")), kind)
    assert (problem is None) is (kind == "image")
    assert time.monotonic() - started < 2
    assert media.count("/a") == 1


def test_a_hostile_image_is_not_downloaded_whole(media: MediaServer, checker: AttachmentChecker) -> None:
    """A JPEG of nothing but application segments, 30 MB of them."""
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + bytes(65_533)
    url = media.serve("/a.jpg", file(b"\xff\xd8" + segment * 500, "image/jpeg"))
    assert look(checker, url) is None
    assert media.sent <= HEAD + BUDGET


def test_a_damaged_image(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/a.png", file(picture()[:20], "image/png"))
    assert reason(checker, url) == "is a damaged image: its size cannot be read"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_recording_that_is_too_long(media: MediaServer, checker: AttachmentChecker, ranges: bool) -> None:
    long = media.serve("/long.wav", file(wav(31 * 60), "audio/wav", ranges=ranges))
    short = media.serve("/short.wav", file(wav(29 * 60), "audio/wav", ranges=ranges))
    assert reason(checker, long, "audio") == "is 31.0 minutes long"
    assert look(checker, short, "audio") is None


def test_a_size_that_is_not_told(media: MediaServer, checker: AttachmentChecker) -> None:
    assert look(checker, media.serve("/a", chunked(picture(), "image/png"))) is None
    assert reason(checker, media.serve("/b", chunked(b"", "image/png"))) == "is empty (0 bytes)"
    assert reason(checker, media.serve("/c", chunked(picture(12_000, 800, "BMP"), ""))) == "is 12000 × 800 pixels"
    # The directory of this one is behind the head, where it cannot be addressed: nothing speaks against it.
    assert look(checker, media.serve("/d", chunked(late_tiff(12_000, 80, 960_000), "image/tiff"))) is None
    assert look(checker, media.serve("/e", chunked(wav(29 * 60), "audio/wav")), "audio") is None


@pytest.mark.parametrize("pixels", [960_000, 9_600_000])
def test_a_range_that_does_not_tell_the_whole_size(media: MediaServer, checker: AttachmentChecker, pixels: int) -> None:
    content = late_tiff(12_000, 80, pixels)
    assert look(checker, media.serve("/a.tif", file(content, "image/tiff", total=False))) is None
    assert media.sent == HEAD


def test_a_body_that_is_compressed_although_it_should_not_be(media: MediaServer, checker: AttachmentChecker) -> None:
    page = media.serve("/page", file(gzip.compress(PAGE), "text/html", encoding="gzip"))
    assert reason(checker, page) == "is a web page (text/html), not an image"
    image = media.serve("/a", file(gzip.compress(picture(12_000, 800)), "image/png", encoding="gzip"))
    assert reason(checker, image) == "is 12000 × 800 pixels"
    bomb = gzip.compress(picture() + bytes(100_000_000))
    assert look(checker, media.serve("/b", file(bomb, "image/png", encoding="gzip"))) is None


SENSELESS = [
    {"Location": "http://[broken"},
    {"Location": "//"},
    {"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"},
    {"Retry-After": "\u00b2"},
    {"Content-Range": "bytes 0-1/\u00b2"},
    {"Content-Encoding": "gzip"},
    {"Content-Type": "\u00ff" * 9000},
]


def test_headers_that_make_no_sense(media: MediaServer, checker: AttachmentChecker) -> None:
    routes = [status(code, headers) for code in (200, 302, 503) for headers in SENSELESS]
    urls = [media.serve(f"/{number}", route) for number, route in enumerate(routes)]
    problems = checker.check([Attachment("attachment", url, "image") for url in urls])
    assert all(problems[len(SENSELESS) :])
    assert all(len(str(problem)) < 300 for problem in problems)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for but itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    signed = built.add_extension(address, critical=False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    return path


def test_certificates_are_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = MediaServer(context)
    url = server.serve("/a.png", file(picture()))
    with AttachmentChecker(CheckLevel.AUTO) as stranger:
        assert reason(stranger, url) == "is on a server whose certificate is not accepted"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with AttachmentChecker(CheckLevel.AUTO) as acquainted:
        assert look(acquainted, url) is None
    server.close()


def test_redirects_are_followed(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/folder/a.png", file(picture(), "image/png"))
    media.serve("/4", redirect("folder/a.png"))
    for step in range(4):
        media.serve(f"/{step}", redirect(f"{media.url}/{step + 1}"))
    assert look(checker, f"{media.url}/0") is None
    assert media.connections == 1, "a redirect costs no connection of its own"


def test_redirects_that_lead_nowhere(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/a", redirect("/b"))
    media.serve("/b", redirect("/a"))
    for step in range(7):
        media.serve(f"/{step}", redirect(f"/{step + 1}"))
    media.serve("/ftp", redirect("ftp://elsewhere/?sig=SECRET"))
    assert reason(checker, f"{media.url}/a") == "is redirected in a circle"
    assert reason(checker, f"{media.url}/0") == "is redirected more than 5 times"
    assert reason(checker, f"{media.url}/ftp") == "is redirected to what is no http:// or https:// URL"


def test_a_redirect_with_an_endless_body(media: MediaServer, checker: AttachmentChecker) -> None:
    def route(handler) -> None:  # type: ignore[no-untyped-def]
        handler.close_connection = True
        handler.start(302, {"Location": "/a.png"})
        until = time.monotonic() + 5
        while time.monotonic() < until:
            handler.send(bytes(1 << 14))

    media.serve("/a.png", file(picture(), "image/png"))
    started = time.monotonic()
    assert look(checker, media.serve("/moved", route)) is None
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("route", [dripping(), silent(3)], ids=["a byte now and then", "silence"])
def test_a_deadline_holds_over_everything(media: MediaServer, route) -> None:  # type: ignore[no-untyped-def]
    url = media.serve("/slow", route)
    started = time.monotonic()
    with AttachmentChecker(CheckLevel.AUTO, timeout=0.5) as checker:
        problem = look(checker, url)
    assert problem
    assert "answer" in problem.reason
    assert time.monotonic() - started < 2


def test_a_body_that_breaks_off(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/a", broken_off(picture(), "image/png"))
    assert reason(checker, url).startswith("broke off while it was read")
    assert media.count("/a") == 3


def test_a_server_that_is_not_there(checker: AttachmentChecker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a?sig=SECRET"
        assert reason(checker, url) == "is on a server that takes no connection"


def test_a_host_that_is_silent_is_not_asked_for_each_row(media: MediaServer) -> None:
    urls = [media.serve(f"/{i}", silent(0.3)) for i in range(60)]
    with AttachmentChecker(CheckLevel.AUTO, threads=4, timeout=0.2) as checker:
        problems = checker.check([Attachment("attachment", url, "image") for url in urls])
    assert all(problem and "answer" in problem.reason for problem in problems)
    assert len(media.requests) <= FAILURE_THRESHOLD + 3


def test_a_silent_host_is_asked_again_later() -> None:
    now = [0.0]
    outages = CircuitBreaker(clock=lambda: now[0])
    for _ in range(FAILURE_THRESHOLD):
        outages.check("host")
        outages.record("host", HostUnreachable("does not answer", "run again later"))
    with pytest.raises(AttachmentRejected, match="does not answer; run again later"):
        outages.check("host")
    outages.check("another")
    now[0] = COOLDOWN_SECONDS
    outages.check("host")
    outages.record("host", AttachmentRejected("answered 404", "correct it"))
    now[0] = 0.0
    outages.check("host")


@pytest.mark.parametrize("uri", ["http://host:99999/a", "http://.../a", "http://a b/c", "http://\x00/"])
def test_what_cannot_be_fetched_raises_nothing(checker: AttachmentChecker, uri: str) -> None:
    assert reason(checker, uri)


def test_no_query_is_ever_told(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/html", file(PAGE, "text/html"))
    media.serve("/moved", redirect("/moved?again&sig=SECRET"))
    media.serve("/oops", status(500))
    for path in ("/html", "/moved", "/oops", "/missing"):
        problem = look(checker, f"{media.url}{path}?X-Amz-Signature=SECRET")
        assert problem
        assert "SECRET" not in str(problem)


def test_a_url_is_fetched_as_it_stands(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/a%2Fb%20c+d.png", file(picture(), "image/png"))
    assert look(checker, f"{media.url}/a%2Fb%20c+d.png?x=%2F&y=a+b#part") is None
    assert media.requests[0][1] == "/a%2Fb%20c+d.png?x=%2F&y=a+b"


def test_connections_are_kept(media: MediaServer) -> None:
    urls = [media.serve(f"/{i}.png", file(picture(), "image/png")) for i in range(200)]
    with AttachmentChecker(CheckLevel.AUTO, threads=4) as checker:
        assert checker.check([Attachment("attachment", url, "image") for url in urls]) == [None] * 200
    assert len(media.requests) == 200
    assert media.connections <= 4


def test_no_head_is_sent(media: MediaServer, checker: AttachmentChecker) -> None:
    """Signed URLs and many servers refuse HEAD."""
    assert look(checker, media.serve("/a", file(picture()))) is None
    assert {method for method, _, _ in media.requests} == {"GET"}


def test_passwords_of_the_machine_stay_here(
    media: MediaServer, checker: AttachmentChecker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password SECRET\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert look(checker, media.serve("/a", file(picture()))) is None
    assert "Authorization" not in media.requests[0][2]


def test_many_threads_may_share_a_checker(media: MediaServer, checker: AttachmentChecker) -> None:
    good = media.serve("/good", file(picture()))
    wrong: list[object] = []

    def check() -> None:
        for _ in range(10):
            problems = checker.check([Attachment("a", good, "image"), Attachment("b", f"{media.url}/no", "image")])
            if problems[0] is not None or problems[1] is None:
                wrong.append(problems)

    threads = [threading.Thread(target=check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong


def test_a_signed_url_is_looked_at_as_scale_will(strict_s3: StrictS3, checker: AttachmentChecker) -> None:
    """HEAD on it would be a 403; so would be a URL that was quoted anew."""
    s3.put_bytes("s3://bucket/a folder/ü+%2F & ~.png", picture())
    url = s3.presign("s3://bucket/a folder/ü+%2F & ~.png", 60)
    assert look(checker, url) is None
    assert reason(checker, url.replace("X-Amz-Expires=60", "X-Amz-Expires=61")) == "answered 403 (Forbidden)"


NEVER_ENDING = {
    "a header": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"y"),
    "answers before the answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers behind the last chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "nothing, compressed": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", b"name"),
}


@pytest.mark.parametrize("start", NEVER_ENDING)
def test_no_part_of_an_answer_is_waited_for_beyond_the_deadline(media: MediaServer, start: str) -> None:
    first, again = NEVER_ENDING[start]

    def route(handler: Handler) -> None:
        handler.close_connection = True
        handler.send(first)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            handler.send(again)
            time.sleep(0.05)

    url = media.serve("/a", route)
    with AttachmentChecker(CheckLevel.AUTO, timeout=0.5) as checker:
        begun = time.monotonic()
        assert "within 0.5 s" in reason(checker, url)
        assert time.monotonic() - begun < 3
