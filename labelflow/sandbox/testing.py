"""Runs a sandbox as a separate process, for tests and demos."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]  # the folder that contains the package
START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 10.0  # seconds


@contextmanager
def running(*, log: Path | None = None, **options: object) -> Iterator[str]:
    """Run `python -m labelflow.sandbox` in the background; yields its URL, with `/v1`.

    log: the file to append its stderr to; None shares the stderr of this process.
    options: command-line options with underscores; an option that is None is omitted.
    Raises RuntimeError if it does not start.

        with running(api="2017", turnaround="0.5-2", faults="seed=5, error=5%") as url:
            client = ScaleClient("live_key", url)
    """
    process = start(log=log, **options)
    try:
        yield listening_url(process)
    finally:
        stop(process)


def start(*, log: Path | None = None, **options: object) -> subprocess.Popen[str]:
    """Start `python -m labelflow.sandbox`; end it with `stop`. Parameters as in `running`."""
    command = [sys.executable, "-m", "labelflow.sandbox"]
    for name, value in options.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    stderr = log.open("ab") if log else None
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    finally:
        if stderr:
            stderr.close()


def listening_url(process: subprocess.Popen[str]) -> str:
    """Wait until a sandbox listens; returns its URL, with `/v1`. Raises RuntimeError if it exits or hangs."""
    assert process.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    if not line:
        raise RuntimeError(f"the sandbox did not start: exit status {process.wait()}")
    return line.split()[-1]


def stop(process: subprocess.Popen[str]) -> None:
    """Terminate a sandbox; kill it if it does not exit in time."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
