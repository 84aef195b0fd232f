"""A bare requests.Session per thread in a loop: the least work that this HTTP library can do.

Source: requests' docs, "Session Objects". A session is not thread-safe.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import requests

from benchmarks.baselines.script import parse_options, write_ids
from benchmarks.process_metrics import report
from benchmarks.workload import KEY, Row, read_manifest, request


def create(url: str, rows: list[Row]) -> list[tuple[str, str]]:
    """Create the tasks of these rows, one after another."""
    ids = []
    with requests.Session() as session:
        session.auth = (KEY, "")
        for row in rows:
            response = session.post(f"{url}/task/categorization", json=request(row), timeout=20)
            response.raise_for_status()
            ids.append((row["id"], response.json()["task_id"]))
    return ids


def main() -> None:
    """Submit a manifest."""
    options = parse_options(__doc__)
    started_at = time.monotonic()
    rows = read_manifest(options.manifest, options.rows)
    with ThreadPoolExecutor(options.threads) as pool:
        shares = [rows[thread :: options.threads] for thread in range(options.threads)]
        ids = list(chain.from_iterable(pool.map(partial(create, options.url), shares)))
    write_ids(options.output, ids)
    report(len(ids), time.monotonic() - started_at)


if __name__ == "__main__":
    main()
