"""A bucket in another region than that of the settings: attachments are checked and signed for the bucket's region."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.storage import s3, s3_client
from tests.conftest import StubServer
from tests.support.attachments import find_problems
from tests.support.jobs import make_job
from tests.support.media_server import picture
from tests.support.run_job import label
from tests.support.s3_servers import Bucket, StrictS3, use_s3
from tests.support.sandbox import running_in_process

REGION = "eu-central-1"
XML = "<?xml version='1.0'?><Error><Code>{}</Code><Message>x</Message>{}</Error>"


@pytest.fixture(params=["redirect", "malformed", "denied"])
def other_region(request: pytest.FixtureRequest, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that S3 serves only for requests that are signed for REGION; returns its name."""
    use_s3(monkeypatch, stub_server.url)
    content = picture()

    def respond(method: str, path: str, _: bytes) -> tuple[int, bytes, dict[str, str]]:
        scope = stub_server.requests[-1][3]["Authorization"].split("/")[2]
        region = {"x-amz-bucket-region": REGION}
        if scope == REGION and request.param != "denied":
            return (
                206,
                content,
                {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}", "ETag": '"e"', **region},
            )
        if request.param == "redirect":
            return 301, b"" if method == "HEAD" else XML.format("PermanentRedirect", "").encode(), region
        if request.param == "denied":
            return 403, b"" if method == "HEAD" else XML.format("AccessDenied", "").encode(), region
        body = XML.format("AuthorizationHeaderMalformed", f"<Region>{REGION}</Region>").encode()
        return 400, b"" if method == "HEAD" else body, region

    stub_server.respond = respond
    return f"photos-{request.param}"


def test_url_is_signed_for_the_region_of_the_bucket(other_region: str, stub_server: StubServer) -> None:
    url = s3.presign(f"s3://{other_region}/a.jpg", 60)
    assert parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2] == REGION
    count = len(stub_server.requests)
    s3.presign(f"s3://{other_region}/b.jpg", 60)
    assert len(stub_server.requests) == count, "the region is known"


@pytest.mark.parametrize("fault", ["refused", "closed", "busy"])
def test_region_that_could_not_be_asked_for_is_asked_for_again(
    stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    use_s3(monkeypatch, "http://127.0.0.1:9" if fault == "refused" else stub_server.url)
    stub_server.respond = lambda *_: (503, b"", {}) if fault == "busy" else None
    with pytest.raises(s3_client.errors()):
        s3.presign(f"s3://later-{fault}/a.jpg", 60)
    use_s3(monkeypatch, stub_server.url)
    stub_server.respond = lambda *_: (200, b"", {"x-amz-bucket-region": REGION})
    url = s3.presign(f"s3://later-{fault}/a.jpg", 60)
    assert parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2] == REGION


@pytest.mark.parametrize("scheme", ["s3", "S3"])
def test_created_task_has_a_url_for_the_region_of_the_bucket(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    use_s3(monkeypatch, stub_server.url)
    monkeypatch.setenv("SCALE_API_KEY", "test_region")
    stub_server.respond = lambda *_: (200, b"", {"x-amz-bucket-region": REGION})
    uri = f"{scheme}://photos-of-{scheme.lower()}/a.jpg"
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "a", "uri": uri}) + "\n")
    task = {"type": "annotation", "instruction": "?", "attachment": "{uri}", "objects_to_annotate": ["car"]}
    with running_in_process() as url:
        job = make_job(tmp_path, task=task, attachments={"check": "off"}, scale={"url": url}, max_unlabeled="100%")
        label(job)
        [sent] = requests.get(f"{url}/tasks", auth=("test_region", ""), timeout=10).json()["docs"]
    assert parse_qs(urlsplit(sent["params"]["attachment"]).query)["X-Amz-Credential"][0].split("/")[2] == REGION


def test_attachment_in_another_region_is_checked(other_region: str) -> None:
    with AttachmentChecker(CheckLevel.CONTENT) as checker:
        [problem] = find_problems(checker, [Attachment("attachment", f"s3://{other_region}/a.jpg", "image")])
    assert (problem is None) is (not other_region.endswith("denied")), problem


def test_store_without_regions_signs_as_before(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "bucket_region", lambda _: None)
    url = s3.presign(bucket.uri("a.jpg"), 60)
    assert parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2] == "us-east-1"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (" s3://{}/a.jpg", "starts with a space"),
        ("s3://{}/a/../b.jpg", "has a key with the path segment . or .., which browsers remove from its signed URL"),
        ("s3://{}/./b.jpg", "has a key with the path segment . or .., which browsers remove from its signed URL"),
        ("S3://{}/a.jpg", None),
        ("s3://{}/a//b..jpg", None),
    ],
)
def test_odd_uris(bucket: Bucket, uri: str, reason: str | None) -> None:
    bucket.fill(["a.jpg", "a//b..jpg", "b.jpg"])
    with AttachmentChecker(CheckLevel.EXISTS) as checker:
        [problem] = find_problems(checker, [Attachment("attachment", uri.format(bucket.name), "image")])
    assert (problem and problem.reason) == reason


@pytest.mark.parametrize("key", ["my photo.jpg", "a+b.jpg", "foki-då-och-nu.jpg", "100%25.jpg", "a&b=c?.jpg"])
def test_url_of_an_odd_key_can_be_read(strict_s3: StrictS3, key: str) -> None:
    """localstack/localstack#3759 and humanmade/S3-Uploads#6: signed URLs of such keys were invalid."""
    (strict_s3.root / "bucket" / key).write_bytes(b"content")
    response = requests.get(s3.presign(f"s3://bucket/{key}", 60), timeout=10)
    assert (response.status_code, response.content) == (200, b"content")
