"""Prefect's temporary server: shielded from a terminal's Ctrl-C, and stopped with the process."""

from __future__ import annotations

import signal
import subprocess
import time

from labelflow.errors import InvalidInput

PROCESS_START_TIMEOUT = 2.0  # seconds from the decision to start the server until its process exists
TERMINATE_TIMEOUT = 0.5  # seconds

_requested = False


def start() -> None:
    """Start the server unless Prefect is configured to use another one. Prefect uses it and stops it at exit."""
    global _requested
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE

    if PREFECT_API_URL.value() or not PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value():
        return
    from prefect.server.api.server import SubprocessASGIServer  # takes more than a second

    _requested = True
    # Ctrl-C reaches every process of the terminal. The server must outlive the flow to record its final state: child
    # processes inherit the blocked signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end() -> None:
    """Stop the server at once. May be called from any thread."""
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
    """Raises InvalidInput if no Prefect server is configured: each remote worker would start a server of its own."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        reason = "dask needs a Prefect server that all workers can reach, and PREFECT_API_URL is not set"
        raise InvalidInput("runner", reason, "set PREFECT_API_URL, or use runner: threads")
