"""make poll-vs-callback ROWS=1000 TURNAROUND=30-300 [API=current|2017]

Labels a job with callbacks only, and the same job with polling only: both must have the same result.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from labelflow.accounting.summary import Summary
from labelflow.jobs.job import Job
from labelflow.sandbox.testing import running
from tests.proofs.callbacks.service import KEY, free_port
from tests.support.jobs import make_job
from tests.support.media_server import MediaServer, file_response, picture
from tests.support.run_job import label

METHODS = ("callback", "poll")
API_VERSIONS = ("current", "2017")
TASK_REQUEST = re.compile(rb"^(GET /v1/tasks\S*) HTTP/1\.1\r$", re.MULTILINE)
RUN_SPECIFIC_COLUMNS = ("task_id", "unique_id", "created_at", "completed_at", "updated_at")  # differ between runs
SIGNATURE = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIATEST&X-Amz-Date=20990101T000000Z&X-Amz-Expires=60"
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=5ec2e7"
)
MISSING_EVERY = 20  # every 20th row has a missing attachment

Rows = list[dict[str, Any]]


@dataclass
class MethodResult:
    """Result of a job with one method. polls: requests for finished tasks, without the connection check."""

    summary: Summary
    labels: Rows
    errors: Rows
    polls: list[str]


@dataclass
class Comparison:
    """Results of both methods for a job of `count` rows."""

    count: int
    results: dict[str, MethodResult] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def differences(self) -> list[str]:
        """Differences between the results, and unexpected values of one of them."""
        differences = []
        for method, result in self.results.items():
            summary = result.summary
            if not summary.labeled + summary.error == summary.rows == self.count:
                differences.append(f"{method}: {summary}")
        callback, poll = (self.results[method] for method in METHODS)
        if callback.labels != poll.labels:
            differences.append(f"labels differ: {_first_difference(callback.labels, poll.labels)}")
        if callback.errors != poll.errors:
            differences.append(f"errors differ: {_first_difference(callback.errors, poll.errors)}")
        if callback.polls:
            differences.append(f"callback: {len(callback.polls)} polls, such as {callback.polls[0]}")
        if not poll.polls:
            differences.append("poll: no polls")
        return differences


def _first_difference(one: Rows, other: Rows) -> str:
    return next((f"{a} and {b}" for a, b in zip(one, other, strict=False) if a != b), f"{len(one)} and {len(other)}")


class RecordingProxy:
    """A proxy for the API that records requests for tasks."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/v1"
        self.requests: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def polls(self) -> list[str]:
        """Requests for finished tasks. The connection check of a run requests one task of any status."""
        return [request for request in self.requests if "status=" in request]

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_request:
                    self.requests += [line.decode() for line in TASK_REQUEST.findall(data)]
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def compare_methods(folder: Path, count: int, turnaround: str, api_version: str) -> Comparison:
    """Run both methods at the same time, each with a separate account.

    Some attachments are missing: with the 2017 API the callback of such a task does not contain the task.
    """
    comparison, started_at = Comparison(count), time.monotonic()
    with _media() as media, running(turnaround=turnaround, api=api_version, faults="seed=5, error=5%") as url:
        _write_manifest(folder, media.url, count)
        with ThreadPoolExecutor(len(METHODS)) as threads:
            futures = {method: threads.submit(_run_method, folder, url, method, turnaround) for method in METHODS}
            comparison.results = {method: future.result() for method, future in futures.items()}
    comparison.seconds = time.monotonic() - started_at
    return comparison


@contextmanager
def _media() -> Iterator[MediaServer]:
    server = MediaServer()
    server.serve("/cat.png", file_response(picture(31, 17), "image/png"))
    try:
        yield server
    finally:
        server.close()


def _write_manifest(folder: Path, url: str, count: int) -> None:
    uris = [f"{url}/{'missing' if number % MISSING_EVERY == 7 else 'cat'}.png?{SIGNATURE}" for number in range(count)]
    lines = [json.dumps({"id": f"r{number}", "picture": uri}) for number, uri in enumerate(uris)]
    (folder / "manifest.jsonl").write_text("\n".join(lines))


def _run_method(folder: Path, url: str, method: str, turnaround: str) -> MethodResult:
    with closing(RecordingProxy(url)) as proxy:
        summary = label(_job(folder, proxy.url, method, turnaround))
        return MethodResult(summary, _rows(folder / method / "labels"), _rows(folder / method / "errors"), proxy.polls)


def _job(folder: Path, url: str, method: str, turnaround: str) -> Job:
    os.environ[f"KEY_OF_{method}"] = f"live_{method}"
    port = free_port()
    callback_section = {
        "wait": "callback",
        "callback_url": f"http://127.0.0.1:{port}/callback",
        "port": port,
        "poll_interval": "1h",
    }
    longest = float(turnaround.rpartition("-")[2])
    task = {"attachment_type": "image", "attachment": "{picture}", "type": "categorization"}
    return make_job(
        folder,
        task={**task, "instruction": "Which is it?", "categories": ["a", "b"]},
        output=str(folder / method),
        attachments={"check": "off"},
        scale={"url": url, "mode": "live", "key": f"env:KEY_OF_{method}"},
        collect=callback_section if method == "callback" else {"poll_interval": f"{max(0.5, longest / 60)}s"},
    )


def _rows(path: Path) -> Rows:
    """The rows in order of row_id, without columns that differ between runs; duplicates are kept."""
    rows = (
        pq.read_table(path).drop_columns(list(RUN_SPECIFIC_COLUMNS)).to_pylist() if list(path.glob("*.parquet")) else []
    )
    return sorted(rows, key=lambda row: str(row["row_id"]))


def main() -> int:
    """Compare both methods with one API version or with both; returns 1 if the results differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.callbacks.poll_vs_callback", description=__doc__)
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument(
        "--turnaround", default="1-10", help="seconds until a task is finished: LOW-HIGH, different for each task"
    )
    parser.add_argument("--api", choices=API_VERSIONS, action="append")
    options = parser.parse_args()
    os.environ.pop("SCALE_API_KEY", None)  # it would override the keys of both jobs
    os.environ["SCALE_CALLBACK_AUTH_KEY"] = KEY
    clean = True
    for api_version in options.api or API_VERSIONS:
        folder = Path(tempfile.mkdtemp(prefix="poll-vs-callback-"))
        try:
            comparison = compare_methods(folder, options.rows, options.turnaround, api_version)
        finally:
            shutil.rmtree(folder)
        head = f"{api_version}: {comparison.count:,} rows, turnaround {options.turnaround} s"
        print(f"{head}, {comparison.seconds:.0f} s in total")
        for method, result in comparison.results.items():
            summary = result.summary
            print(f"  {method:<9} {summary.labeled:,} labeled, {summary.error:,} errors, {len(result.polls):,} polls")
        print("\n".join(f"  WRONG: {line}" for line in comparison.differences) or "  the same", flush=True)
        clean = clean and not comparison.differences
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
