"""Processes of a measurement: servers on one core, the contender on another, if the system supports that."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

ROOT = Path(__file__).parent.parent
TERMINATE_TIMEOUT = 30.0
RUN_TIMEOUT = 3 * 3600.0  # seconds
SERVER_CORE, CONTENDER_CORE = 0, 1  # indexes among the cores that this process may use

_running: set[subprocess.Popen[str]] = set()


@dataclass(frozen=True, slots=True)
class Server:
    """A running stub. certificate: its certificate, for TLS."""

    url: str
    certificate: Path | None = None

    def request_count(self) -> int:
        """The number of requests that it has answered so far."""
        root = "{0.scheme}://{0.netloc}".format(urlsplit(self.url))
        verify = str(self.certificate) if self.certificate else True
        response = requests.get(f"{root}/stub", verify=verify, timeout=10)
        response.raise_for_status()
        return sum(response.json()["requests"].values())


@contextmanager
def running_server(
    module: str, *arguments: object, certificate: Path | None = None, pin: bool = False
) -> Iterator[Server]:
    """Run a server that prints its URL once it listens. pin: run it on the servers' core."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with pinned_to(SERVER_CORE if pin else None):
        process = start(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} did not start: exit status {process.wait()}")
        yield Server(line.split()[-1], certificate)
    finally:
        terminate(process)


def run_module(
    module: str, arguments: list[object], environment: Mapping[str, str], *, pin: bool = False
) -> tuple[str, float]:
    """Run a module to its end; returns its output and the seconds of the whole process.

    pin: run it and its child processes on the contenders' core.
    Raises RuntimeError with its stderr if it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started_at = time.monotonic()
        with pinned_to(CONTENDER_CORE if pin else None):
            process = start(command, env=environment, stdout=output, stderr=errors)
        try:
            status = process.wait(RUN_TIMEOUT)
        finally:
            terminate(process)
        total_seconds = time.monotonic() - started_at
        if status:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command[1:])} ended with exit status {status}:\n{errors.read()[-3000:]}")
        output.seek(0)
        return output.read(), total_seconds


@contextmanager
def pinned_to(core: int | None) -> Iterator[None]:
    """Pin processes started in this context to one core. Set before their start, so that all threads inherit it."""
    if core is None or not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start a process; end it with `terminate` or `terminate_all`. options: those of Popen."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, **options)
    _running.add(process)
    return process


def terminate_all() -> None:
    """Send SIGTERM to all running processes."""
    for process in tuple(_running):
        process.terminate()


def terminate(process: subprocess.Popen[str]) -> None:
    """Terminate a process; kill it if it does not end in time."""
    _running.discard(process)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(TERMINATE_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
