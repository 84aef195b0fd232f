"""S3 through boto3: against moto for behavior, against rclone for signatures and expiry."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from labelflow.errors import InvalidInput
from labelflow.storage import s3, s3_client, s3_errors
from labelflow.storage.opening import open_folder
from tests.support.s3_servers import AWS, Bucket, S3RequestCounter, StrictS3, use_s3

ODD_KEY = "a folder/ü+%2F & ?#'\"=~.txt"


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket/key", ("bucket", "key")),
        ("s3://bucket/a%20b?c#d//e", ("bucket", "a%20b?c#d//e")),
        ("S3://bucket/", ("bucket", "")),
        ("s3://bucket", ("bucket", "")),
    ],
)
def test_uri_is_split_without_decoding(uri: str, parts: tuple[str, str]) -> None:
    assert s3_client.split_uri(uri) == parts


@pytest.mark.parametrize("uri", ["", "bucket/key", "https://bucket/key", "s3:/bucket/key", "s3:///key", "s3://"])
def test_invalid_uri_is_reported(uri: str) -> None:
    with pytest.raises(ValueError, match="is not a valid S3 URI; use s3://bucket/key"):
        s3_client.split_uri(uri)


def test_overlong_key_is_reported() -> None:
    assert s3_client.split_uri("s3://bucket/" + "ü" * 512)
    with pytest.raises(ValueError, match="at most 1024 bytes"):
        s3_client.split_uri("s3://bucket/" + "ü" * 513)


def test_importing_does_not_load_boto3() -> None:
    code = "import sys, labelflow.storage.s3; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_client_is_reused_until_the_settings_change(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    first = s3_client.client()
    assert s3_client.client() is first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert s3_client.client() is not first


def test_objects_are_written_listed_read_and_removed(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    s3.put_bytes(bucket.uri(ODD_KEY), b"bytes")
    s3.put_file(bucket.uri("b/file"), tmp_path / "file")
    s3.put_bytes(bucket.uri("c"), b"")
    assert s3.read_bytes(bucket.uri(ODD_KEY)) == b"bytes"
    assert s3.read_bytes(bucket.uri("b/file")) == b"from a file"
    assert [(info.key, info.size) for info in s3.list_keys(bucket.uri(""))] == [(ODD_KEY, 5), ("b/file", 11), ("c", 0)]
    assert [info.key for info in s3.list_keys(bucket.uri("b/"))] == ["b/file"]
    s3.delete(bucket.uri("c"))
    s3.delete(bucket.uri("c"))
    with pytest.raises(FileNotFoundError, match="there is no object 'c' in the bucket"):
        s3.read_bytes(bucket.uri("c"))


def test_listing_continues_beyond_one_page(bucket: Bucket, s3_requests: S3RequestCounter) -> None:
    keys = [f"p/{i:05}" for i in range(2001)]
    bucket.fill(keys)
    assert [info.key for info in s3.list_keys(bucket.uri("p/"))] == keys
    assert s3_requests.operations == ["ListObjectsV2"] * 3


def test_a_large_file_is_one_put(bucket: Bucket, s3_requests: S3RequestCounter, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(20_000_000))
    s3.put_file(bucket.uri("large"), tmp_path / "large")
    assert s3_requests.operations == ["PutObject"]


def test_a_small_object_is_opened_and_read_with_one_request(bucket: Bucket, s3_requests: S3RequestCounter) -> None:
    s3.put_bytes(bucket.uri("k"), b"content")
    s3_requests.operations.clear()
    with s3.open_ranged(bucket.uri("k")) as file:
        assert file.read() == b"content"
        assert file.size == 7
    assert s3_requests.operations == ["GetObject"]


def test_large_object_is_read_in_ranges(bucket: Bucket, s3_requests: S3RequestCounter) -> None:
    table = pa.table({"id": list(range(50_000))})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=5000, compression="none")
    s3.put_bytes(bucket.uri("t.parquet"), sink.getvalue())
    s3_requests.operations.clear()
    file = s3.open_ranged(bucket.uri("t.parquet"), block=16_384)
    parquet = pq.ParquetFile(pa.PythonFile(file, mode="r"))
    assert parquet.read_row_group(5).equals(table.slice(25_000, 5000))
    assert s3_requests.count("GetObject") == s3_requests.count() <= 6


def test_an_empty_object_opens(bucket: Bucket) -> None:
    s3.put_bytes(bucket.uri("empty"), b"")
    assert s3.open_ranged(bucket.uri("empty")).read() == b""


def test_object_replaced_during_a_read_is_detected(bucket: Bucket) -> None:
    s3.put_bytes(bucket.uri("k"), b"a" * 3000)
    file = s3.open_ranged(bucket.uri("k"), block=1000)
    s3.put_bytes(bucket.uri("k"), b"b" * 3000)
    assert file.read(1000) == b"a" * 1000
    with pytest.raises(OSError, match="was replaced while it was read; run again"):
        file.read(1000)


def read_error(uri: str) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        s3.read_bytes(uri)
    return caught.value


def test_errors_suggest_a_fix(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = bucket.uri("missing")
    assert s3_errors.s3_error(read_error(missing), missing) == (
        f"there is no object 'missing' in the bucket '{bucket.name}'; correct the URI"
    )
    nowhere = "s3://no-such-bucket-here/k"
    assert s3_errors.s3_error(read_error(nowhere), nowhere) == (
        "there is no bucket 'no-such-bucket-here'; correct its name, or create it"
    )
    bad = "s3://Not A Bucket/k"
    assert (
        s3_errors.s3_error(read_error(bad), bad) == "'s3://Not A Bucket/k' is not a valid S3 URI; use s3://bucket/key"
    )
    assert s3_errors.s3_error(read_error("s3://b"), "s3://b") == (
        "'s3://b' names a bucket but no object; use s3://bucket/key"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert s3_errors.s3_error(read_error(missing), missing).startswith(
        "no S3 credentials were found; set AWS_ACCESS_KEY_ID"
    )


def test_unreachable_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening: connections are refused
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        use_s3(monkeypatch, url)
        error = read_error("s3://bucket/key")
    problem = s3_errors.explain(error, "s3://bucket/key")
    assert problem.reason == f"S3 at {url} does not respond"
    assert problem.is_systemic


def test_invalid_credentials(strict_s3: StrictS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODYNOBODY")
    problem = s3_errors.explain(read_error("s3://bucket/key"), "s3://bucket/key")
    assert problem.is_systemic
    assert problem.reason == "S3 does not accept the credentials (InvalidAccessKeyId)"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", AWS["AWS_ACCESS_KEY_ID"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    problem = s3_errors.explain(read_error("s3://bucket/key"), "s3://bucket/key")
    assert problem.is_systemic
    assert "wrong-secret" not in f"{problem}"


def test_round_trip_with_strict_signature_verification(strict_s3: StrictS3, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file" * 1000)
    s3.put_file("s3://bucket/new/file", tmp_path / "file")
    s3.put_bytes("s3://bucket/new/bytes", b"bytes")
    assert s3.read_bytes("s3://bucket/new/file") == b"from a file" * 1000
    assert s3.open_ranged("s3://bucket/new/file", block=100).read(300) == (b"from a file" * 1000)[:300]
    assert [info.key for info in s3.list_keys("s3://bucket/new/")] == ["new/bytes", "new/file"]


@pytest.mark.parametrize("key", ["plain.txt", "a folder/ü+%2F & #'=~.txt"])
def test_signed_url_is_accepted(strict_s3: StrictS3, key: str) -> None:
    s3.put_bytes(f"s3://bucket/{key}", b"content")
    url = s3.presign(f"s3://bucket/{key}", 7 * 24 * 3600)
    assert url.startswith(f"{strict_s3.url}/bucket/")
    response = requests.get(url, timeout=10)
    assert (response.status_code, response.content) == (200, b"content")
    assert requests.head(url, timeout=10).status_code == 403


def test_tampered_signature_is_rejected(strict_s3: StrictS3) -> None:
    s3.put_bytes("s3://bucket/mine", b"content")
    s3.put_bytes("s3://bucket/other", b"content")
    url = s3.presign("s3://bucket/mine", 60)
    assert requests.get(url.replace("/mine", "/other"), timeout=10).status_code == 403
    assert requests.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), timeout=10).status_code == 403


def test_expired_signature_is_rejected(strict_s3: StrictS3) -> None:
    s3.put_bytes("s3://bucket/k", b"content")
    url = s3.presign("s3://bucket/k", 1)
    signed = parse_qs(urlsplit(url).query)
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert signed["X-Amz-Expires"] == ["1"]
    time.sleep(2.1)
    assert requests.get(url, timeout=10).status_code in (400, 403)


def test_signing_costs_one_request_per_bucket(bucket: Bucket, s3_requests: S3RequestCounter) -> None:
    for number in range(5):
        assert s3.presign(bucket.uri(f"k{number}"), 60)
    assert s3_requests.operations == ["HeadBucket"]


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_invalid_signature_lifetime(bucket: Bucket, seconds: int) -> None:
    with pytest.raises(ValueError, match="7 days"):
        s3.presign(bucket.uri("k"), seconds)


@pytest.mark.parametrize(
    "endpoint", ["http://me:pass5e3c@127.0.0.1:9", "me:pass5e3c@127.0.0.1:9", "http://me:pass5e3c/x@127.0.0.1:9"]
)
def test_password_in_the_endpoint_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    use_s3(monkeypatch, endpoint)
    with pytest.raises(InvalidInput, match="AWS_ENDPOINT_URL: ") as caught:
        open_folder("s3://bucket/prefix").read("a")
    assert "pass5e3c" not in str(caught.value)
