"""A separate Prefect environment for the benchmarks: the user's server and profile stay unchanged."""

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
    """Environment variables of all measured processes.

    shared: one server for all processes, so that none starts its own. Otherwise each process has a temporary server, as
    a user's has. A first one runs before, because it creates the database.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(REMOVED_PREFIXES)}
    inherited = {name: value for name, value in inherited.items() if name.upper() not in REMOVED_VARIABLES}
    environment = {**inherited, "PREFECT_HOME": str(folder / "prefect"), "SCALE_API_KEY": KEY, "DO_NOT_TRACK": "1"}
    if shared:
        with running_server(environment) as url:
            yield {**environment, "PREFECT_API_URL": url}
    else:
        run_module("benchmarks.baselines.empty_flow", [], environment)
        yield environment


@contextmanager
def running_server(environment: Mapping[str, str]) -> Iterator[str]:
    """Run a separate Prefect server; yields the URL of its API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
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
