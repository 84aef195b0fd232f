"""A bare requests.Session per thread in a loop: the floor of what this HTTP library can do.

Source: requests' docs, "Session Objects". A session is not made to be shared by threads.
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
    """Create the tasks of some rows, one after another."""
    ids = []
    with requests.Session() as session:
        session.auth = (KEY, "")
        for row in rows:
            answer = session.post(f"{url}/task/categorization", json=request(row), timeout=20)
            answer.raise_for_status()
            ids.append((row["id"], answer.json()["task_id"]))
    return ids


def main() -> None:
    """Submit a manifest."""
    given = parse_options(__doc__)
    begun = time.monotonic()
    rows = read_manifest(given.manifest, given.rows)
    with ThreadPoolExecutor(given.threads) as pool:
        shares = [rows[thread :: given.threads] for thread in range(given.threads)]
        ids = list(chain.from_iterable(pool.map(partial(create, given.url), shares)))
    write_ids(given.output, ids)
    report(len(ids), time.monotonic() - begun)


if __name__ == "__main__":
    main()
