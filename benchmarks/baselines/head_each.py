"""One head_object per row in a thread pool. Source: boto3's docs, "Multithreading with clients"."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

from benchmarks.baselines.script import parse_options
from benchmarks.process_metrics import report
from benchmarks.workload import Row, read_manifest


def main() -> None:
    """Look every object of a manifest up."""
    given = parse_options(__doc__)
    client = boto3.client("s3", endpoint_url=given.url, config=Config(max_pool_connections=given.threads))

    def size(row: Row) -> int:
        bucket, _, key = row["image"].removeprefix("s3://").partition("/")
        return int(client.head_object(Bucket=bucket, Key=key)["ContentLength"])

    begun = time.monotonic()
    with ThreadPoolExecutor(given.threads) as pool:
        sizes = list(pool.map(size, read_manifest(given.manifest, given.rows)))
    report(sum(size > 0 for size in sizes), time.monotonic() - begun)


if __name__ == "__main__":
    main()
