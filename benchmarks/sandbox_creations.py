"""Measure how many tasks per second the sandbox creates on one core, over 16 persistent connections.

    python -m benchmarks.sandbox_creations [--tasks N]

The sandbox is pinned to one core and the clients to another, if the system supports that. The sandbox completes tasks
at the same time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import threading
import time
from urllib.parse import urlsplit

from labelflow.sandbox.testing import listening_url, start, stop

CONNECTIONS = 16
BODY = json.dumps(
    {
        "instruction": "What is this message about?",
        "attachment_type": "text",
        "attachment": "Where is my order?",
        "categories": ["delivery", "refund", "other"],
        "metadata": {"row_id": "1"},
    }
)
HEADERS = {"Authorization": "Basic dGVzdF9iZW5jaG1hcms6", "Content-Type": "application/json"}  # test_benchmark:


def create_tasks(url: str, count: int) -> None:
    """Create `count` tasks over one connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    for _ in range(count):
        connection.request("POST", f"{parts.path}/task/categorization", BODY, HEADERS)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"unexpected status of the sandbox: {response.status}")
    connection.close()


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=20_000, metavar="N")
    tasks = parser.parse_args().tasks
    process = start()
    try:
        url = listening_url(process)
        if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(process.pid, {0})
            os.sched_setaffinity(0, {1})
        threads = [threading.Thread(target=create_tasks, args=(url, tasks // CONNECTIONS)) for _ in range(CONNECTIONS)]
        started_at = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"{tasks / (time.monotonic() - started_at):,.0f} tasks created per second over {CONNECTIONS} connections")
    finally:
        stop(process)


if __name__ == "__main__":
    main()
