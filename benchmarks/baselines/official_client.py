"""Scale's own client in a thread pool. Source: scaleapi's README, "Create Task"."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from scaleapi import ScaleClient
from scaleapi.tasks import TaskType

from benchmarks.baselines.script import parse_options, write_ids
from benchmarks.process_metrics import report
from benchmarks.workload import KEY, Row, read_manifest, request


def main() -> None:
    """Submit a manifest."""
    given = parse_options(__doc__)
    client = ScaleClient(KEY, api_instance_url=given.url)

    def create(row: Row) -> tuple[str, str]:
        return row["id"], client.create_task(TaskType.Categorization, **request(row)).id

    begun = time.monotonic()
    with ThreadPoolExecutor(given.threads) as pool:
        ids = list(pool.map(create, read_manifest(given.manifest, given.rows)))
    write_ids(given.output, ids)
    report(len(ids), time.monotonic() - begun)


if __name__ == "__main__":
    main()
