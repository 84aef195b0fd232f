"""One GET for each task, into pandas, into Parquet. Source: scaleapi's README, "Retrieve a task"; pandas' docs.

With Scale's official client, or (`--sessions`) with one requests.Session per thread, which is faster.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import requests
from scaleapi import ScaleClient

from benchmarks.baselines.script import parse_options
from benchmarks.process_metrics import report
from benchmarks.stub import task_id
from benchmarks.workload import KEY

Get = Callable[[str], dict[str, Any]]


def by_client(url: str) -> Get:
    """Get tasks with Scale's official client."""
    client = ScaleClient(KEY, api_instance_url=url)
    return lambda task: dict(client.get_task(task).as_dict())


def by_sessions(url: str) -> Get:
    """Get tasks over one persistent connection per thread."""
    local = threading.local()

    def get(task: str) -> dict[str, Any]:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.auth = (KEY, "")
        response = local.session.get(f"{url}/task/{task}", timeout=20)
        response.raise_for_status()
        return dict(response.json())

    return get


def main() -> None:
    """Collect the stub's tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", action="store_true", help="use one requests.Session per thread")
    options = parse_options(__doc__, parser)
    get = (by_sessions if vars(options)["sessions"] else by_client)(options.url)
    started_at = time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:
        tasks = list(pool.map(get, [task_id(number) for number in range(options.rows)]))
    pd.json_normalize(tasks).to_parquet(options.output / "labels.parquet")
    report(len(tasks), time.monotonic() - started_at)


if __name__ == "__main__":
    main()
