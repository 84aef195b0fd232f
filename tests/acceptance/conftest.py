"""The demo's world for tests: the samples in a local S3, and the environment in which jobs find them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import SAMPLES, s3_access, s3_server, upload
from demo.samples import make_samples

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def demo_s3() -> Iterator[dict[str, str]]:
    """The environment that leads boto3 to an S3 server with the samples in it."""
    with (ROOT / "pyproject.toml").open() as lock:  # several processes run tests at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_samples(SAMPLES)
    with s3_server() as url:
        upload(url)
        yield s3_access(url)


@pytest.fixture
def no_listing_lag() -> None:
    """The lag is real in these tests."""
