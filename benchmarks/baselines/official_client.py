"""Scale's official client in a thread pool. Source: scaleapi's README, "Create Task"."""

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
    options = parse_options(__doc__)
    client = ScaleClient(KEY, api_instance_url=options.url)

    def create(row: Row) -> tuple[str, str]:
        return row["id"], client.create_task(TaskType.Categorization, **request(row)).id

    started_at = time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:
        ids = list(pool.map(create, read_manifest(options.manifest, options.rows)))
    write_ids(options.output, ids)
    report(len(ids), time.monotonic() - started_at)


if __name__ == "__main__":
    main()
