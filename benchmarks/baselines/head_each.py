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
    """Send a HEAD request for every object of a manifest."""
    options = parse_options(__doc__)
    client = boto3.client("s3", endpoint_url=options.url, config=Config(max_pool_connections=options.threads))

    def size(row: Row) -> int:
        bucket, _, key = row["image"].removeprefix("s3://").partition("/")
        return int(client.head_object(Bucket=bucket, Key=key)["ContentLength"])

    started_at = time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:
        sizes = list(pool.map(size, read_manifest(options.manifest, options.rows)))
    report(sum(size > 0 for size in sizes), time.monotonic() - started_at)


if __name__ == "__main__":
    main()
