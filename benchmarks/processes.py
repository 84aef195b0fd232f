"""The processes of a measurement: servers on one core, what is measured on another, where the system can do that."""

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
SERVER_CORE, CONTENDER_CORE = 0, 1  # places among the cores that this process may use

_running: set[subprocess.Popen[str]] = set()


@dataclass(frozen=True, slots=True)
class Server:
    """A stub that listens. certificate: of a TLS server."""

    url: str
    certificate: Path | None = None

    def request_count(self) -> int:
        """How many it has answered so far."""
        root = "{0.scheme}://{0.netloc}".format(urlsplit(self.url))
        verify = str(self.certificate) if self.certificate else True
        answer = requests.get(f"{root}/stub", verify=verify, timeout=10)
        answer.raise_for_status()
        return sum(answer.json()["requests"].values())


@contextmanager
def running_server(
    module: str, *arguments: object, certificate: Path | None = None, pin: bool = False
) -> Iterator[Server]:
    """Run a server, which prints its URL once it listens. pin: to the core of servers."""
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
    """Run a module from its start to its end; gives its output, and how many seconds that took.

    pin: to the core of what is measured, with all that it starts.
    Raises RuntimeError with what it said on stderr where it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.monotonic()
        with pinned_to(CONTENDER_CORE if pin else None):
            process = start(command, env=environment, stdout=output, stderr=errors)
        try:
            status = process.wait(RUN_TIMEOUT)
        finally:
            terminate(process)
        whole = time.monotonic() - begun
        if status:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command[1:])} ended with {status}:\n{errors.read()[-3000:]}")
        output.seek(0)
        return output.read(), whole


@contextmanager
def pinned_to(core: int | None) -> Iterator[None]:
    """What is started inside runs on one core. Set before the start, so that no thread of it begins elsewhere."""
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
    """Start a process, which `end` or `end_all` is to end. options: those of Popen."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, **options)
    _running.add(process)
    return process


def terminate_all() -> None:
    """Ask all processes to end, for when this one is asked to."""
    for process in tuple(_running):
        process.terminate()


def terminate(process: subprocess.Popen[str]) -> None:
    """End a process, at once where it does not end by itself."""
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
