"""The callback receiver as a separate process, which can be killed and restarted on the same port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "flows.receive_callbacks"]
KEY = "the-callback-auth-key-of-the-tests"


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**variables: str) -> dict[str, str]:
    """The environment of an operator who has the callback auth key."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SCALE_", "PREFECT_"))}
    return {**inherited, "SCALE_CALLBACK_AUTH_KEY": KEY, **variables}


class ReceiverProcess:
    """A receiver process. output: printed so far; cpu_seconds: CPU time after startup, over all restarts."""

    def __init__(self, *configs: Path, prefix: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = ""
        self.kills = 0
        self.cpu_seconds = 0.0
        self._command = [*prefix, *COMMAND, *map(str, configs), "--port", str(self.port)]
        self._start()

    def kill_and_restart(self) -> None:
        """Kill the process with SIGKILL, and start it again."""
        self.cpu_seconds += self._cpu_time()
        self._process.kill()
        self._read_remaining_output()
        self.kills += 1
        self._start()

    def stop(self) -> int:
        """Send SIGTERM; returns the exit status."""
        self.cpu_seconds += self._cpu_time()
        self._process.send_signal(signal.SIGTERM)
        return self._read_remaining_output()

    @property
    def is_running(self) -> bool:
        """Whether it has not been stopped."""
        return self._process.returncode is None

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        self.output += line
        assert line.startswith("Receiving callbacks on"), line + self._process.stdout.read()
        self.cpu_seconds -= self._cpu_time()

    def _cpu_time(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read_remaining_output(self) -> int:
        try:
            output, _ = self._process.communicate(timeout=30)
        finally:
            self._process.kill()
        self.output += output
        return self._process.returncode


@contextmanager
def running_receiver(*configs: Path, prefix: tuple[str, ...] = ()) -> Iterator[ReceiverProcess]:
    """Run a receiver until the end of the context; prefix: of its command line."""
    service = ReceiverProcess(*configs, prefix=prefix)
    try:
        yield service
    finally:
        if service.is_running:
            service.stop()
