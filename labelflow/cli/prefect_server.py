"""Prefect's temporary server: out of reach of a terminal's Ctrl-C, and never left behind."""

from __future__ import annotations

import signal
import subprocess
import time

from labelflow.errors import UsageError

PROCESS_START_TIMEOUT = 2.0  # between the decision to start it and its process
TERMINATE_TIMEOUT = 0.5

_requested = False


def start() -> None:
    """Start it, unless Prefect is told of another server; from then on Prefect uses it, and ends it at exit."""
    global _requested
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE

    if PREFECT_API_URL.value() or not PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        return
    from prefect.server.api.server import SubprocessASGIServer  # takes more than a second

    _requested = True
    # Ctrl-C goes to all processes on the terminal. A server that ends before the flow cannot take down how it ended; a
    # blocked signal stays blocked in the process that is started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end() -> None:
    """End it at once, from any thread."""
    if not _requested:
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    deadline = time.monotonic() + PROCESS_START_TIMEOUT
    while server.server_process is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if server.server_process is None:
        return
    server.server_process.terminate()
    try:
        server.server_process.wait(TERMINATE_TIMEOUT)
    except subprocess.TimeoutExpired:
        server.server_process.kill()


def require_prefect_api() -> None:
    """Raises UsageError where workers elsewhere would each start a Prefect server of their own."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        reason = "dask needs a Prefect server that all its workers reach, and none is named"
        raise UsageError("runner", reason, "set PREFECT_API_URL, or use runner: threads")
