"""Prefect servers for the tests: one that all tests of a process share, and homes whose database is there already.

Making Prefect's database takes seconds of CPU, so it is made once for each test session, and copied.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.commands import ROOT, environment

UNTRACKED = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@pytest.fixture(scope="session")
def prefect_home_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Prefect home with an empty database, to be copied. The processes of pytest-xdist share one."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home = folder / "prefect-home"
    with (folder / "prefect-home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            making = folder / "prefect-home.part"
            subprocess.run(
                [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
                cwd=ROOT,
                env=environment(making, **UNTRACKED),
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=120,
            )
            making.rename(home)
    return home


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory: pytest.TempPathFactory, prefect_home_template: Path) -> Path:
    """A Prefect home for the commands of a module that start a temporary server."""
    return shutil.copytree(prefect_home_template, tmp_path_factory.mktemp("prefect") / "home")


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory, prefect_home_template: Path) -> Iterator[str]:
    """The URL of a server's API. The server has the runs of other tests too."""
    home = shutil.copytree(prefect_home_template, tmp_path_factory.mktemp("prefect-server") / "home")
    with running_prefect_server(home) as url:
        yield url


@contextmanager
def running_prefect_server(home: Path) -> Iterator[str]:
    """Run a server for one test; yields the URL of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "prefect", "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", str(port)]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment(home, **UNTRACKED), stdout=log, stderr=log
        )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/api/health", process)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise RuntimeError("the Prefect server did not start")
