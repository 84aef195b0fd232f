"""Attachments over HTTP, on real sockets: each kind of failure, and the cost of a probe."""

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
from labelflow.downloads.circuit_breaker import COOLDOWN_SECONDS, FAILURE_THRESHOLD, CircuitBreaker
from labelflow.downloads.failures import DownloadFailed, HostUnreachable
from labelflow.problems import Problem
from labelflow.storage import s3
from tests.support.attachments import find_problems
from tests.support.media_server import (
    PAGE,
    Handler,
    MediaServer,
    chunked,
    dripping,
    endless,
    file_response,
    picture,
    redirect,
    sequence,
    silent,
    status_response,
    tiff_with_late_header,
    truncated,
    wav,
)
from tests.support.s3_servers import StrictS3

HEAD = 64 * 1024
BUDGET = 4 * 1024 * 1024


@pytest.fixture
def checker() -> Iterator[AttachmentChecker]:
    with AttachmentChecker(CheckLevel.AUTO, timeout=5, allow_private=True) as checker:
        yield checker


def probe_one(checker: AttachmentChecker, uri: str, kind: str = "image") -> Problem | None:
    (problem,) = find_problems(checker, [Attachment("attachment", uri, kind)])
    return problem


def probe_reason(checker: AttachmentChecker, uri: str, kind: str = "image") -> str:
    problem = probe_one(checker, uri, kind)
    assert problem, "no problem was reported"
    assert problem.field == "attachment"
    assert problem.fix
    return problem.reason


def test_valid_file_costs_one_get_of_its_prefix(media: MediaServer, checker: AttachmentChecker) -> None:
    content = picture() + bytes(200_000)
    assert probe_one(checker, media.serve("/a.png", file_response(content, "image/png"))) is None
    ((method, _, headers),) = media.requests
    assert method == "GET"
    assert headers["Range"] == "bytes=0-65535"
    assert headers["Accept-Encoding"] == "identity"
    assert media.sent == HEAD


def test_level_exists_reads_one_byte_and_trusts_the_content_type(media: MediaServer) -> None:
    media.serve("/a.png", file_response(picture(20_000, 1), "image/png"))
    media.serve("/empty.png", file_response(b"", "image/png"))
    with AttachmentChecker(CheckLevel.EXISTS, allow_private=True) as checker:
        assert probe_one(checker, f"{media.url}/a.png") is None
        assert media.sent == 1
        assert probe_reason(checker, f"{media.url}/a.png", "audio") == "is an image (image/png), not audio"
        assert probe_reason(checker, f"{media.url}/empty.png") == "is empty (0 bytes)"
        assert probe_reason(checker, f"{media.url}/missing") == "answered 404 (Not Found)"


def test_level_off_sends_no_request(media: MediaServer) -> None:
    with AttachmentChecker(CheckLevel.OFF, allow_private=True) as checker:
        assert probe_one(checker, f"{media.url}/missing") is None
    assert media.requests == []


@pytest.mark.parametrize("code", [204, 400, 401, 403, 404, 405, 410, 451])
def test_permanent_status_is_reported_without_retry(media: MediaServer, checker: AttachmentChecker, code: int) -> None:
    assert probe_reason(checker, media.serve("/a", status_response(code))).startswith(f"answered {code} (")
    assert media.count("/a") == 1


def test_transient_failure_is_retried_then_reported(media: MediaServer, checker: AttachmentChecker) -> None:
    codes = [408, 429, 500, 503, 529]
    urls = [media.serve(f"/{code}", status_response(code)) for code in codes]
    problems = find_problems(checker, [Attachment("attachment", url, "image") for url in urls])
    for code, problem in zip(codes, problems, strict=True):
        assert problem
        assert problem.reason.startswith(f"answered {code}")
        assert media.count(f"/{code}") == 3


def test_transient_failure_that_recovers_is_accepted(media: MediaServer, checker: AttachmentChecker) -> None:
    route = sequence(status_response(503), silent(0), file_response(picture(), "image/png"))
    assert probe_one(checker, media.serve("/a", route)) is None
    assert media.count("/a") == 3


def test_retry_after_beyond_the_deadline_is_not_waited_for(media: MediaServer, checker: AttachmentChecker) -> None:
    started = time.monotonic()
    assert probe_reason(checker, media.serve("/a", status_response(429, {"Retry-After": "3600"}))).startswith(
        "answered 429"
    )
    assert media.count("/a") == 1
    assert time.monotonic() - started < 2


def test_short_retry_after_is_honored(media: MediaServer, checker: AttachmentChecker) -> None:
    route = sequence(status_response(429, {"Retry-After": "1"}), file_response(picture(), "image/png"))
    started = time.monotonic()
    assert probe_one(checker, media.serve("/a", route)) is None
    assert time.monotonic() - started >= 1


def test_html_page_instead_of_an_image(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/cat", file_response(PAGE, "text/html; charset=utf-8"))
    problem = probe_one(checker, url)
    assert problem == Problem(
        "attachment",
        "is a web page (text/html), not an image",
        "use the URL of the file itself, not of a page that shows it",
    )
    assert probe_one(checker, url, "website") is None


def test_content_overrides_a_wrong_content_type(media: MediaServer, checker: AttachmentChecker) -> None:
    assert probe_one(checker, media.serve("/a", file_response(picture(), "text/plain"))) is None
    mislabeled = media.serve("/b", file_response(PAGE, "image/jpeg"))
    assert probe_reason(checker, mislabeled) == "is a web page (declared as image/jpeg), not an image"


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_file(media: MediaServer, checker: AttachmentChecker, ranges: bool) -> None:
    """With ranges it answers 416 first: an empty file has no first byte."""
    assert (
        probe_reason(checker, media.serve("/a", file_response(b"", "image/png", ranges=ranges))) == "is empty (0 bytes)"
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
def test_supported_image_formats(media: MediaServer, checker: AttachmentChecker, kind: str) -> None:
    assert probe_one(checker, media.serve("/a", file_response(picture(300, 200, kind)))) is None


def test_unsupported_image_format(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/a", file_response(picture(300, 200, "WEBP"), "image/webp"))
    assert probe_reason(checker, url) == "is a WebP image, which Scale does not accept"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
def test_image_too_large(media: MediaServer, checker: AttachmentChecker, kind: str) -> None:
    assert probe_reason(checker, media.serve("/a", file_response(picture(12_000, 80, kind)))) == "is 12000 × 80 pixels"


def test_dimensions_beyond_the_prefix_are_found(media: MediaServer, checker: AttachmentChecker) -> None:
    """The rest is not downloaded."""
    url = media.serve("/a.tif", file_response(tiff_with_late_header(12_000, 800, 9_600_000), "image/tiff"))
    assert probe_reason(checker, url) == "is 12000 × 800 pixels"
    assert media.count("/a.tif") == 2
    assert media.sent <= 2 * HEAD


def test_dimensions_too_far_beyond_the_prefix_without_range_support(
    media: MediaServer, checker: AttachmentChecker
) -> None:
    content = tiff_with_late_header(12_000, 800, 9_600_000)
    assert probe_one(checker, media.serve("/a.tif", file_response(content, "image/tiff", ranges=False))) is None
    assert media.count("/a.tif") == 1


def test_dimensions_beyond_the_prefix_without_range_support(media: MediaServer, checker: AttachmentChecker) -> None:
    content = tiff_with_late_header(12_000, 80, 960_000)
    url = media.serve("/a.tif", file_response(content, "image/tiff", ranges=False))
    assert probe_reason(checker, url) == "is 12000 × 80 pixels"


def test_server_ignoring_ranges_does_not_cause_a_full_download(media: MediaServer, checker: AttachmentChecker) -> None:
    content = picture() + bytes(50_000_000)
    assert probe_one(checker, media.serve("/a.png", file_response(content, "image/png", ranges=False))) is None
    assert media.count("/a.png") == 1


@pytest.mark.parametrize("kind", ["image", "audio", "video", "pdf", "website"])
def test_endless_body_is_abandoned(media: MediaServer, checker: AttachmentChecker, kind: str) -> None:
    started = time.monotonic()
    problem = probe_one(checker, media.serve("/a", endless(picture(), "image/png")), kind)
    assert (problem is None) is (kind == "image")
    assert time.monotonic() - started < 2
    assert media.count("/a") == 1


def test_hostile_image_is_not_fully_downloaded(media: MediaServer, checker: AttachmentChecker) -> None:
    """A JPEG that consists of 30 MB of application segments."""
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + bytes(65_533)
    url = media.serve("/a.jpg", file_response(b"\xff\xd8" + segment * 500, "image/jpeg"))
    assert probe_one(checker, url) is None
    assert media.sent <= HEAD + BUDGET


def test_corrupt_image(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/a.png", file_response(picture()[:20], "image/png"))
    assert probe_reason(checker, url) == "is a corrupt image: its dimensions cannot be read"


@pytest.mark.parametrize("ranges", [True, False])
def test_recording_too_long(media: MediaServer, checker: AttachmentChecker, ranges: bool) -> None:
    long = media.serve("/long.wav", file_response(wav(31 * 60), "audio/wav", ranges=ranges))
    short = media.serve("/short.wav", file_response(wav(29 * 60), "audio/wav", ranges=ranges))
    assert probe_reason(checker, long, "audio") == "is 31.0 minutes long"
    assert probe_one(checker, short, "audio") is None


def test_unknown_size(media: MediaServer, checker: AttachmentChecker) -> None:
    assert probe_one(checker, media.serve("/a", chunked(picture(), "image/png"))) is None
    assert probe_reason(checker, media.serve("/b", chunked(b"", "image/png"))) == "is empty (0 bytes)"
    assert probe_reason(checker, media.serve("/c", chunked(picture(12_000, 800, "BMP"), ""))) == "is 12000 × 800 pixels"
    # The TIFF directory is beyond the first bytes and cannot be addressed: the image is accepted.
    assert (
        probe_one(checker, media.serve("/d", chunked(tiff_with_late_header(12_000, 80, 960_000), "image/tiff"))) is None
    )
    assert probe_one(checker, media.serve("/e", chunked(wav(29 * 60), "audio/wav")), "audio") is None


@pytest.mark.parametrize("pixels", [960_000, 9_600_000])
def test_content_range_without_total_size(media: MediaServer, checker: AttachmentChecker, pixels: int) -> None:
    content = tiff_with_late_header(12_000, 80, pixels)
    assert probe_one(checker, media.serve("/a.tif", file_response(content, "image/tiff", total=False))) is None
    assert media.sent == HEAD


def test_unrequested_content_encoding(media: MediaServer, checker: AttachmentChecker) -> None:
    page = media.serve("/page", file_response(gzip.compress(PAGE), "text/html", encoding="gzip"))
    assert probe_reason(checker, page) == "is a web page (text/html), not an image"
    image = media.serve("/a", file_response(gzip.compress(picture(12_000, 800)), "image/png", encoding="gzip"))
    assert probe_reason(checker, image) == "is 12000 × 800 pixels"
    bomb = gzip.compress(picture() + bytes(100_000_000))
    assert probe_one(checker, media.serve("/b", file_response(bomb, "image/png", encoding="gzip"))) is None


INVALID_HEADERS = [
    {"Location": "http://[broken"},
    {"Location": "//"},
    {"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"},
    {"Retry-After": "\u00b2"},
    {"Content-Range": "bytes 0-1/\u00b2"},
    {"Content-Encoding": "gzip"},
    {"Content-Type": "\u00ff" * 9000},
]


def test_invalid_headers(media: MediaServer, checker: AttachmentChecker) -> None:
    routes = [status_response(code, headers) for code in (200, 302, 503) for headers in INVALID_HEADERS]
    urls = [media.serve(f"/{number}", route) for number, route in enumerate(routes)]
    problems = find_problems(checker, [Attachment("attachment", url, "image") for url in urls])
    assert all(problems[len(INVALID_HEADERS) :])
    assert all(len(str(problem)) < 300 for problem in problems)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key."""
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
    url = server.serve("/a.png", file_response(picture()))
    with AttachmentChecker(CheckLevel.AUTO, allow_private=True) as distrusting:
        assert probe_reason(distrusting, url) == "is on a server with an invalid certificate"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with AttachmentChecker(CheckLevel.AUTO, allow_private=True) as trusting:
        assert probe_one(trusting, url) is None
    server.close()


def test_redirects_are_followed(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/folder/a.png", file_response(picture(), "image/png"))
    media.serve("/4", redirect("folder/a.png"))
    for step in range(4):
        media.serve(f"/{step}", redirect(f"{media.url}/{step + 1}"))
    assert probe_one(checker, f"{media.url}/0") is None
    assert media.connections == 1, "a redirect opens no new connection"


def test_invalid_redirects(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/a", redirect("/b"))
    media.serve("/b", redirect("/a"))
    for step in range(7):
        media.serve(f"/{step}", redirect(f"/{step + 1}"))
    media.serve("/ftp", redirect("ftp://elsewhere/?sig=SECRET"))
    assert probe_reason(checker, f"{media.url}/a") == "is a redirect loop"
    assert probe_reason(checker, f"{media.url}/0") == "has more than 5 redirects"
    assert probe_reason(checker, f"{media.url}/ftp") == "redirects to a URL that is not http:// or https://"


def test_redirect_with_an_endless_body(media: MediaServer, checker: AttachmentChecker) -> None:
    def route(handler) -> None:  # type: ignore[no-untyped-def]
        handler.close_connection = True
        handler.start(302, {"Location": "/a.png"})
        until = time.monotonic() + 5
        while time.monotonic() < until:
            handler.send(bytes(1 << 14))

    media.serve("/a.png", file_response(picture(), "image/png"))
    started = time.monotonic()
    assert probe_one(checker, media.serve("/moved", route)) is None
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("route", [dripping(), silent(3)], ids=["slow bytes", "no response"])
def test_deadline_covers_the_whole_request(media: MediaServer, route) -> None:  # type: ignore[no-untyped-def]
    url = media.serve("/slow", route)
    started = time.monotonic()
    with AttachmentChecker(CheckLevel.AUTO, timeout=0.5, allow_private=True) as checker:
        problem = probe_one(checker, url)
    assert problem
    assert "respond" in problem.reason
    assert time.monotonic() - started < 2


def test_truncated_body(media: MediaServer, checker: AttachmentChecker) -> None:
    url = media.serve("/a", truncated(picture(), "image/png"))
    assert probe_reason(checker, url).startswith("was cut off during the download")
    assert media.count("/a") == 3


def test_unreachable_server(checker: AttachmentChecker) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening: connections are refused
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/a?sig=SECRET"
        assert probe_reason(checker, url) == "is on a server that does not accept connections"


def test_unresponsive_host_is_not_probed_for_each_row(media: MediaServer) -> None:
    urls = [media.serve(f"/{i}", silent(0.3)) for i in range(60)]
    with AttachmentChecker(CheckLevel.AUTO, threads=4, timeout=0.2, allow_private=True) as checker:
        problems = find_problems(checker, [Attachment("attachment", url, "image") for url in urls])
    assert all(problem and "respond" in problem.reason for problem in problems)
    assert len(media.requests) <= FAILURE_THRESHOLD + 3


def test_unresponsive_host_is_probed_again_later() -> None:
    now = [0.0]
    breaker = CircuitBreaker(clock=lambda: now[0])
    for _ in range(FAILURE_THRESHOLD):
        breaker.check("host")
        breaker.record("host", HostUnreachable("does not respond", "run again later"))
    with pytest.raises(DownloadFailed, match="does not respond; run again later"):
        breaker.check("host")
    breaker.check("another")
    now[0] = COOLDOWN_SECONDS
    breaker.check("host")
    breaker.record("host", DownloadFailed("answered 404", "correct it"))
    now[0] = 0.0
    breaker.check("host")


@pytest.mark.parametrize("uri", ["http://host:99999/a", "http://.../a", "http://a b/c", "http://\x00/"])
def test_unfetchable_uri_does_not_raise(checker: AttachmentChecker, uri: str) -> None:
    assert probe_reason(checker, uri)


def test_query_strings_are_never_reported(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/html", file_response(PAGE, "text/html"))
    media.serve("/moved", redirect("/moved?again&sig=SECRET"))
    media.serve("/oops", status_response(500))
    for path in ("/html", "/moved", "/oops", "/missing"):
        problem = probe_one(checker, f"{media.url}{path}?X-Amz-Signature=SECRET")
        assert problem
        assert "SECRET" not in str(problem)


def test_url_is_fetched_unmodified(media: MediaServer, checker: AttachmentChecker) -> None:
    media.serve("/a%2Fb%20c+d.png", file_response(picture(), "image/png"))
    assert probe_one(checker, f"{media.url}/a%2Fb%20c+d.png?x=%2F&y=a+b#part") is None
    assert media.requests[0][1] == "/a%2Fb%20c+d.png?x=%2F&y=a+b"


def test_connections_are_reused(media: MediaServer) -> None:
    urls = [media.serve(f"/{i}.png", file_response(picture(), "image/png")) for i in range(200)]
    with AttachmentChecker(CheckLevel.AUTO, threads=4, allow_private=True) as checker:
        assert find_problems(checker, [Attachment("attachment", url, "image") for url in urls]) == [None] * 200
    assert len(media.requests) == 200
    assert media.connections <= 4


def test_no_head_request_is_sent(media: MediaServer, checker: AttachmentChecker) -> None:
    """Signed URLs and many servers refuse HEAD."""
    assert probe_one(checker, media.serve("/a", file_response(picture()))) is None
    assert {method for method, _, _ in media.requests} == {"GET"}


def test_netrc_credentials_are_not_sent(
    media: MediaServer, checker: AttachmentChecker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password SECRET\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert probe_one(checker, media.serve("/a", file_response(picture()))) is None
    assert "Authorization" not in media.requests[0][2]


def test_checker_is_thread_safe(media: MediaServer, checker: AttachmentChecker) -> None:
    good = media.serve("/good", file_response(picture()))
    unexpected: list[object] = []

    def check() -> None:
        for _ in range(10):
            problems = find_problems(
                checker, [Attachment("a", good, "image"), Attachment("b", f"{media.url}/no", "image")]
            )
            if problems[0] is not None or problems[1] is None:
                unexpected.append(problems)

    threads = [threading.Thread(target=check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not unexpected


def test_signed_url_is_probed_the_way_scale_fetches_it(strict_s3: StrictS3, checker: AttachmentChecker) -> None:
    """HEAD would return 403, and so would a URL that is percent-encoded again."""
    s3.put_bytes("s3://bucket/a folder/ü+%2F & ~.png", picture())
    url = s3.presign("s3://bucket/a folder/ü+%2F & ~.png", 60)
    assert probe_one(checker, url) is None
    assert probe_reason(checker, url.replace("X-Amz-Expires=60", "X-Amz-Expires=61")) == "answered 403 (Forbidden)"


ENDLESS_RESPONSES = {
    "a header": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"y"),
    "informational responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailers after the last chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "nothing, compressed": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", b"name"),
}


@pytest.mark.parametrize("start", ENDLESS_RESPONSES)
def test_no_part_of_a_response_is_awaited_beyond_the_deadline(media: MediaServer, start: str) -> None:
    first, repeated = ENDLESS_RESPONSES[start]

    def route(handler: Handler) -> None:
        handler.close_connection = True
        handler.send(first)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            handler.send(repeated)
            time.sleep(0.05)

    url = media.serve("/a", route)
    with AttachmentChecker(CheckLevel.AUTO, timeout=0.5, allow_private=True) as checker:
        started = time.monotonic()
        assert "within 0.5 s" in probe_reason(checker, url)
        assert time.monotonic() - started < 3
