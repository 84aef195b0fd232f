"""Attachments in S3: the reported problems, and the number of requests."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel, StoreUnavailable
from labelflow.attachments.s3_listing import common_folder, just_before
from labelflow.problems import Problem
from labelflow.storage import s3, s3_client
from tests.support.attachments import find_problems
from tests.support.media_server import PAGE, picture, tiff_with_late_header, wav
from tests.support.s3_servers import Bucket, S3RequestCounter, StrictS3, use_s3


@pytest.fixture
def exists_checker() -> Iterator[AttachmentChecker]:
    with AttachmentChecker(CheckLevel.EXISTS) as checker:
        yield checker


@pytest.fixture
def auto_checker() -> Iterator[AttachmentChecker]:
    with AttachmentChecker(CheckLevel.AUTO) as checker:
        yield checker


def check(checker: AttachmentChecker, uris: list[str], kind: str = "image") -> list[Problem | None]:
    return find_problems(checker, [Attachment("attachment", uri, kind) for uri in uris])


def check_reason(checker: AttachmentChecker, uri: str, kind: str = "image") -> str | None:
    (problem,) = check(checker, [uri], kind)
    return problem.reason if problem else None


def test_shared_prefix_costs_one_request_per_thousand_keys(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker
) -> None:
    keys = [f"street/2024/img_{i:06}.jpg" for i in range(3000)]
    bucket.fill(["street/2023/other.jpg", *keys, "street/2025/other.jpg"])
    for start in range(0, 3000, 1000):
        assert check(exists_checker, [bucket.uri(key) for key in keys[start : start + 1000]]) == [None] * 1000
    assert s3_requests.operations == ["ListObjectsV2"] * 3


def test_chunk_boundaries_between_pages_cause_no_repeated_request(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker
) -> None:
    keys = [f"p/{i:05}.jpg" for i in range(2000)]
    bucket.fill(keys)
    for start in range(0, 2000, 130):
        assert not any(check(exists_checker, [bucket.uri(key) for key in keys[start : start + 130]]))
    assert s3_requests.operations == ["ListObjectsV2"] * 2


def test_unreferenced_objects_between_keys_are_skipped(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker
) -> None:
    keys = [f"p/{i:05}.jpg" for i in range(1000)]
    bucket.fill(keys + [f"p/{i:05}.json" for i in range(1000)])
    assert not any(check(exists_checker, [bucket.uri(key) for key in keys]))
    assert s3_requests.operations == ["ListObjectsV2"] * 2


def test_shuffled_manifest_causes_few_repeated_listings(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker
) -> None:
    keys = [f"p/{i:05}.jpg" for i in range(3000)]
    bucket.fill(keys)
    random.Random(1).shuffle(keys)
    for start in range(0, 3000, 500):
        assert not any(check(exists_checker, [bucket.uri(key) for key in keys[start : start + 500]]))
    assert s3_requests.count() <= 6


@pytest.mark.parametrize("wanted", [1, 2, 5, 60])
def test_scattered_keys_never_cost_more_than_one_head_each(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker, wanted: int
) -> None:
    keys = [f"p/{i:05}.jpg" for i in range(12_000)]
    bucket.fill(keys)
    chosen = keys[:: len(keys) // wanted][:wanted]
    assert check(exists_checker, [bucket.uri(key) for key in chosen]) == [None] * wanted
    assert s3_requests.count() <= wanted
    assert s3_requests.count("ListObjectsV2") <= 3 or s3_requests.count("HeadObject") == 0


def test_two_dense_prefixes_far_apart(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker
) -> None:
    keys = [f"{folder}/{i:05}.jpg" for folder in ("a", "z") for i in range(500)]
    bucket.fill(keys + [f"m/{i:05}.jpg" for i in range(3000)])
    assert not any(check(exists_checker, [bucket.uri(key) for key in keys]))
    assert s3_requests.count() <= 3


def test_missing_and_empty_objects_are_found_in_listings(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker
) -> None:
    bucket.fill([f"p/{i:03}.jpg" for i in range(100)])
    bucket.fill(["p/empty.jpg"], b"")
    uris = [bucket.uri(f"p/{i:03}.jpg") for i in range(98, 102)] + [bucket.uri("p/empty.jpg"), bucket.uri("q/a.jpg")]
    problems = check(exists_checker, uris)
    assert [problem and problem.reason for problem in problems] == [
        None,
        None,
        f"there is no object 'p/100.jpg' in the bucket '{bucket.name}'",
        f"there is no object 'p/101.jpg' in the bucket '{bucket.name}'",
        "is empty (0 bytes)",
        f"there is no object 'q/a.jpg' in the bucket '{bucket.name}'",
    ]
    assert s3_requests.count() == 1


def test_random_bucket_is_reported_correctly(bucket: Bucket, exists_checker: AttachmentChecker) -> None:
    rng = random.Random(3)
    letters = "ab/~!ü\ud7ff\ue000 0"
    keys = sorted({"".join(rng.choice(letters) for _ in range(rng.randint(1, 4))) for _ in range(1500)})
    keys = [key for key in keys if "//" not in key and key.strip("/") == key]
    existing = set(rng.sample(keys, len(keys) // 2))
    bucket.fill(sorted(existing))
    for _ in range(6):
        sample = rng.sample(keys, 200)
        problems = check(exists_checker, [bucket.uri(key) for key in sample], "lidar")
        assert [problem is None for problem in problems] == [key in existing for key in sample]


def test_kind_is_determined_by_the_suffix(bucket: Bucket, exists_checker: AttachmentChecker) -> None:
    bucket.fill(["a.jpg", "a.html", "a.mp3", "a", "images/jpg", "a.pdf"])
    assert check_reason(exists_checker, bucket.uri("a.jpg")) is None
    assert check_reason(exists_checker, bucket.uri("a")) is None
    assert check_reason(exists_checker, bucket.uri("images/jpg"), "audio") is None
    assert check_reason(exists_checker, bucket.uri("a.html")) == "is a web page (text/html), not an image"
    assert check_reason(exists_checker, bucket.uri("a.mp3")) == "is audio (audio/mpeg), not an image"
    assert check_reason(exists_checker, bucket.uri("a.pdf"), "pdf") is None


def test_prefix_of_images_and_audio_is_read(
    bucket: Bucket, s3_requests: S3RequestCounter, auto_checker: AttachmentChecker
) -> None:
    put = {
        "good.png": picture(),
        "large.bmp": picture(12_000, 80, "BMP"),
        "late.tif": tiff_with_late_header(12_000, 800, 9_600_000),
        "page.jpg": PAGE,
        "empty.jpg": b"",
    }
    for key, content in put.items():
        s3.put_bytes(bucket.uri(key), content)
    s3_requests.operations.clear()
    problems = check(auto_checker, [bucket.uri(key) for key in [*put, "missing.jpg"]])
    assert [problem and problem.reason for problem in problems] == [
        None,
        "is 12000 × 80 pixels",
        "is 12000 × 800 pixels",
        "is a web page (declared as image/jpeg), not an image",
        "is empty (0 bytes)",
        f"there is no object 'missing.jpg' in the bucket '{bucket.name}'",
    ]
    assert s3_requests.operations == ["GetObject"] * 7
    s3.put_bytes(bucket.uri("long.wav"), wav(31 * 60))
    s3.put_bytes(bucket.uri("short.wav"), wav(20 * 60))
    assert check_reason(auto_checker, bucket.uri("long.wav"), "audio") == "is 31.0 minutes long"
    assert check_reason(auto_checker, bucket.uri("short.wav"), "audio") is None


def test_other_kinds_are_only_listed_unless_content_is_checked(
    bucket: Bucket, s3_requests: S3RequestCounter, auto_checker: AttachmentChecker
) -> None:
    s3.put_bytes(bucket.uri("a.mp4"), PAGE)
    s3.put_bytes(bucket.uri("b.mp4"), b"\0\0\0\x20ftypisom")
    s3_requests.operations.clear()
    uris = [bucket.uri("a.mp4"), bucket.uri("b.mp4")]
    assert check(auto_checker, uris, "video") == [None, None]
    assert s3_requests.operations == ["ListObjectsV2"]
    with AttachmentChecker(CheckLevel.CONTENT) as content:
        first, second = check(content, uris, "video")
    assert first
    assert first.reason == "is a web page (declared as video/mp4), not a video"
    assert second is None


@pytest.mark.parametrize("level", [CheckLevel.EXISTS, CheckLevel.CONTENT])
def test_missing_bucket(bucket: Bucket, level: CheckLevel) -> None:
    uris = ["s3://no-such-bucket-here/a.jpg", "s3://no-such-bucket-here/b.jpg"]
    with AttachmentChecker(level) as checker:
        problems = check(checker, uris)
    assert [str(problem) for problem in problems] == [
        "attachment: there is no bucket 'no-such-bucket-here'; correct its name, or create it"
    ] * 2


def test_invalid_bucket_name(bucket: Bucket, exists_checker: AttachmentChecker) -> None:
    assert check_reason(exists_checker, "s3://Not A Bucket/a.jpg") == "'s3://Not A Bucket/a.jpg' is not a valid S3 URI"


@pytest.mark.parametrize("level", [CheckLevel.EXISTS, CheckLevel.CONTENT])
def test_archived_object_is_rejected(bucket: Bucket, level: CheckLevel) -> None:
    for key in ("a.mp4", "b.mp4"):
        s3_client.client().put_object(Bucket=bucket.name, Key=key, Body=b"x", StorageClass="GLACIER")
    with AttachmentChecker(level) as checker:
        several = check(checker, [bucket.uri("a.mp4"), bucket.uri("b.mp4")], "video")
        assert all(problem and "is archived" in problem.reason for problem in several)
        assert "is archived" in str(check_reason(checker, bucket.uri("a.mp4"), "video"))


def s3_error_response(status: int, code: str) -> Any:
    """A hook that responds instead of the store, like a policy that no test server can enforce."""
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    class Body:
        def stream(self, **_: object) -> Iterator[bytes]:
            yield f"<Error><Code>{code}</Code></Error>".encode()

    return lambda request, **_: AWSResponse(request.url, status, HTTPHeaders(), Body())


@pytest.fixture
def forbidden(bucket: Bucket) -> Iterator[list[tuple[str, Any]]]:
    """Hooks of the client; they are unregistered afterwards."""
    events, hooks = s3_client.client().meta.events, []  # type: ignore[var-annotated]
    yield hooks
    for name, hook in hooks:
        events.unregister(name, hook)


def deny_operation(hooks: list[tuple[str, Any]], operation: str, status: int = 403, code: str = "AccessDenied") -> None:
    hooks.append((f"before-send.s3.{operation}", s3_error_response(status, code)))
    s3_client.client().meta.events.register(*hooks[-1])


def test_each_object_is_probed_when_listing_is_denied(
    bucket: Bucket, s3_requests: S3RequestCounter, exists_checker: AttachmentChecker, forbidden: list[tuple[str, Any]]
) -> None:
    bucket.fill([f"p/{i}.jpg" for i in range(20)])
    deny_operation(forbidden, "ListObjectsV2")
    uris = [bucket.uri(f"p/{i}.jpg") for i in range(21)]
    for _ in range(2):
        problems = check(exists_checker, uris)
        assert problems[:20] == [None] * 20
        assert problems[20]
        assert problems[20].reason.startswith("there is no object 'p/20.jpg'")
    assert s3_requests.count("HeadObject") == 42
    assert s3_requests.count("ListObjectsV2") == 1, "the denied listing is not requested again"


def test_listing_and_reading_denied(
    bucket: Bucket, exists_checker: AttachmentChecker, auto_checker: AttachmentChecker, forbidden: list[tuple[str, Any]]
) -> None:
    bucket.fill(["p/a.jpg", "p/b.jpg"])
    for operation in ("ListObjectsV2", "HeadObject", "GetObject"):
        deny_operation(forbidden, operation)
    for checker in (exists_checker, auto_checker):
        assert check_reason(checker, bucket.uri("p/a.jpg")) == f"access to s3://{bucket.name}/p/a.jpg is denied"


@pytest.mark.parametrize("level", [CheckLevel.EXISTS, CheckLevel.AUTO])
def test_unreachable_endpoint_rejects_no_row(monkeypatch: pytest.MonkeyPatch, level: CheckLevel) -> None:
    with socket.socket() as bound, AttachmentChecker(level) as checker:
        bound.bind(("127.0.0.1", 0))  # not listening: connections are refused
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        use_s3(monkeypatch, url)
        for count in (1, 3):
            with pytest.raises(StoreUnavailable, match=f"S3 at {url} does not respond; check AWS_ENDPOINT_URL"):
                check(checker, [f"s3://bucket/{i}.jpg" for i in range(count)])


def test_no_credentials(bucket: Bucket, exists_checker: AttachmentChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(StoreUnavailable, match="no S3 credentials were found; set AWS_ACCESS_KEY_ID"):
        check(exists_checker, [bucket.uri("a.jpg"), bucket.uri("b.jpg")])


def test_wrong_credentials(
    strict_s3: StrictS3, exists_checker: AttachmentChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(StoreUnavailable, match="S3 does not accept the credentials") as caught:
        check(exists_checker, ["s3://bucket/a.jpg", "s3://bucket/b.jpg"])
    assert "not-the-secret" not in str(caught.value)


def test_other_s3_implementation(
    strict_s3: StrictS3, exists_checker: AttachmentChecker, auto_checker: AttachmentChecker
) -> None:
    folder = strict_s3.root / "bucket" / "pictures"
    folder.mkdir()
    for i in range(1200):
        (folder / f"{i}.png").write_bytes(picture() if i == 7 else b"x")
    (folder / "empty.png").touch()
    names = [*(f"{i}.png" for i in range(1201)), "empty.png"]
    problems = check(exists_checker, [f"s3://bucket/pictures/{name}" for name in names])
    assert problems[:1200] == [None] * 1200
    assert [problem and problem.reason for problem in problems[1200:]] == [
        "there is no object 'pictures/1200.png' in the bucket 'bucket'",
        "is empty (0 bytes)",
    ]
    assert check_reason(auto_checker, "s3://bucket/pictures/7.png") is None
    assert check_reason(auto_checker, "s3://bucket/pictures/empty.png") == "is empty (0 bytes)"


@pytest.mark.parametrize("key", ["a", "a/b.jpg", "1", "a!", " ", "ü", "\ue000", "~", "a/", "\x01"])
def test_predecessor_of_a_key_sorts_directly_before_it(key: str) -> None:
    before = just_before(key)
    assert before < key
    assert before.encode() < key.encode()


@pytest.mark.parametrize(
    ("keys", "folder"),
    [
        ([], ""),
        (["a"], ""),
        (["a/b/c"], "a/b/"),
        (["a/b1/c", "a/b2/c"], "a/"),
        (["a/b", "a/b/c"], "a/"),
        (["a", "b"], ""),
    ],
)
def test_common_folder_of_keys(keys: list[str], folder: str) -> None:
    assert common_folder(keys) == folder
