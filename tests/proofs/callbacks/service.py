"""The receiver of callbacks as a process of its own, which can be killed and started again on the same port."""

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
    """A port that nothing listens on at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """That of an operator who has the callback auth key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCALE_", "PREFECT_"))}
    return {**kept, "SCALE_CALLBACK_AUTH_KEY": KEY, **more}


class ReceiverProcess:
    """One receiver. said: what it printed so far; cpu_seconds: what it took to serve, over all its lives."""

    def __init__(self, *configs: Path, prefix: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = ""
        self.kills = 0
        self.cpu_seconds = 0.0
        self._command = [*prefix, *COMMAND, *map(str, configs), "--port", str(self.port)]
        self._start()

    def kill_and_restart(self) -> None:
        """kill -9, and start another one."""
        self.cpu_seconds += self._cpu_time()
        self._process.kill()
        self._read_remaining_output()
        self.kills += 1
        self._start()

    def stop(self) -> int:
        """Ask it to end; gives its exit status."""
        self.cpu_seconds += self._cpu_time()
        self._process.send_signal(signal.SIGTERM)
        return self._read_remaining_output()

    @property
    def is_running(self) -> bool:
        """Whether it was not stopped."""
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
    """A receiver that does not outlive the test; prefix: of its command line."""
    service = ReceiverProcess(*configs, prefix=prefix)
    try:
        yield service
    finally:
        if service.is_running:
            service.stop()
