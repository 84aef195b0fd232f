"""Runs a sandbox beside a test or a demo, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]  # where `python -m labelflow.sandbox` finds the package
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


@contextmanager
def running(*, log: Path | None = None, **options: object) -> Iterator[str]:
    """Run `python -m labelflow.sandbox`, and give the URL that it listens on, with `/v1`.

    options: those of the command line, with underscores (`default_callback="none"`); None leaves one out.
    log: where its stderr goes to; None shares ours.
    Raises RuntimeError where it does not start.
    """
    process = start(log=log, **options)
    try:
        yield listening_url(process)
    finally:
        stop(process)


def start(*, log: Path | None = None, **options: object) -> subprocess.Popen[str]:
    """Start `python -m labelflow.sandbox`, for a caller that ends it itself; options as in `running`."""
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
    """Wait until a sandbox listens, and read its URL. Raises RuntimeError where it ends before."""
    assert process.stdout is not None
    deadline = threading.Timer(START_TIMEOUT, process.kill)
    deadline.start()
    line = process.stdout.readline()
    deadline.cancel()
    if not line:
        raise RuntimeError(f"the sandbox did not start: exit status {process.wait()}")
    return line.split()[-1]


def stop(process: subprocess.Popen[str]) -> None:
    """End a sandbox, at once where it does not end by itself."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
