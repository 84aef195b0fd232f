"""The demo's samples in a local S3 server."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

import pytest

from tests.support.commands import ROOT


@pytest.fixture(scope="session")
def demo_s3() -> Iterator[dict[str, str]]:
    """The environment that points boto3 to an S3 server with the samples in it."""
    from demo.__main__ import SAMPLES, s3_access, s3_server, upload  # slow to import, and few tests need it
    from demo.samples import make_samples

    with (ROOT / "pyproject.toml").open() as lock:  # several processes run tests at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_samples(SAMPLES)
    with s3_server() as url:
        upload(url)
        yield s3_access(url)
