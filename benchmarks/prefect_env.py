"""A Prefect of the benchmarks' own: the user's server and profile stay untouched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from benchmarks.processes import run_module, start, terminate
from benchmarks.workload import KEY

START_TIMEOUT = 120.0
REMOVED_PREFIXES = ("PREFECT_", "SCALE_", "AWS_")
REMOVED_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@contextmanager
def bench_environment(folder: Path, *, shared: bool) -> Iterator[Mapping[str, str]]:
    """The environment of everything that is measured.

    shared: one server for all processes, which saves each the start of its own. Otherwise each has a temporary one, as
    a user's has, in a home in which one has been before: the first makes a database.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REMOVED_PREFIXES)}
    kept = {name: value for name, value in kept.items() if name.upper() not in REMOVED_VARIABLES}
    found = {**kept, "PREFECT_HOME": str(folder / "prefect"), "SCALE_API_KEY": KEY, "DO_NOT_TRACK": "1"}
    if shared:
        with running_server(found) as url:
            yield {**found, "PREFECT_API_URL": url}
    else:
        run_module("benchmarks.baselines.empty_flow", [], found)
        yield found


@contextmanager
def running_server(environment: Mapping[str, str]) -> Iterator[str]:
    """Run a Prefect server of its own; gives the URL of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    settings = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL"}
    process = start(
        [*command, "--host", "127.0.0.1", "--port", port, "--log-level", "critical"],
        env={**environment, **settings, "PREFECT_UI_ENABLED": "0"},
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_for(f"{url}/health")
        yield url
    finally:
        terminate(process)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError("Prefect's server did not start")
