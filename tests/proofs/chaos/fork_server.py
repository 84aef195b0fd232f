"""A fork server: a process that has imported everything, and starts runs within milliseconds by forking.

A run is a separate process that can be killed like any other; only its imports are shared. The fork server reads
requests from stdin, and reports on stdout: `started PID`, `exited PID STATUS`.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tests.proofs.chaos.crash_points import KILLED

POLL_INTERVAL = 0.01  # seconds
THREAD_STACK_BYTES = 1 << 20
CLONE_NEWPID = 0x20000000  # Source: linux/sched.h


class ForkedRun:
    """A forked run, with the methods of `subprocess.Popen` that are needed here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None
        self._exited = threading.Event()

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit; returns the exit status. Raises subprocess.TimeoutExpired."""
        if not self._exited.wait(timeout):
            raise subprocess.TimeoutExpired("a run", timeout or 0)
        return self._status or 0

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._status is None:
            os.kill(self.pid, 9)

    def mark_exited(self, status: int) -> None:
        """Record its exit status."""
        self._status = status
        self._exited.set()


def _limit_thread_stacks() -> None:
    """Make threads reserve little memory: so a limit of a run's memory limits what it uses."""
    resource.setrlimit(resource.RLIMIT_STACK, (THREAD_STACK_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1]))


class ForkServer:
    """The client of the fork server process."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.proofs.chaos.fork_server"]
        self._process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_limit_thread_stacks,
        )
        self._runs: dict[int, ForkedRun] = {}
        self._last_started: ForkedRun | None = None
        self._run_started = threading.Semaphore(0)
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, arguments: list[str], log: Path, *, in_namespace: bool = False) -> ForkedRun:
        """Start a run with these arguments; its output is appended to a file.

        in_namespace: in a new PID namespace, as in a container; only root can create one.
        """
        assert self._process.stdin
        self._process.stdin.write(
            json.dumps({"arguments": arguments, "log": str(log), "in_namespace": in_namespace}) + "\n"
        )
        self._process.stdin.flush()
        if not self._run_started.acquire(timeout=60) or self._last_started is None:
            raise RuntimeError("the fork server does not respond")
        return self._last_started

    def close(self) -> None:
        """Kill the fork server; its runs continue."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            event, pid, *status = line.split()
            if event == "started":
                self._last_started = self._runs[int(pid)] = ForkedRun(int(pid))
                self._run_started.release()
            else:
                self._runs.pop(int(pid)).mark_exited(int(status[0]))


def main() -> None:
    """Fork a run for each line of stdin, and report its exit."""
    from tests.proofs.chaos import run_process

    rest = ""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], POLL_INTERVAL)
        if readable:
            block = os.read(sys.stdin.fileno(), 1 << 16).decode()
            if not block:
                return
            *lines, rest = (rest + block).split("\n")
            for line in lines:
                request = json.loads(line)
                fork = _fork_in_namespace if request["in_namespace"] else os.fork
                _fork_run(fork, run_process.main, request["arguments"], Path(request["log"]))
        _reap_children()


def can_create_namespaces() -> bool:
    """Whether this process may create PID namespaces."""
    return sys.platform == "linux" and os.geteuid() == 0


def _fork_in_namespace() -> int:
    """Fork a child that is the first process of a new PID namespace. Python 3.12 has `os.unshare`."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), "unshare")
        pid = os.fork()
        if pid and libc.setns(own, CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), "setns")
        return pid
    finally:
        os.close(own)


def _fork_run(fork: Callable[[], int], run: Callable[[], None], arguments: list[str], log: Path) -> None:
    pid = fork()
    if pid == 0:
        _run_child(run, arguments, log)
    print("started", pid, flush=True)


def _run_child(run: Callable[[], None], arguments: list[str], log: Path) -> NoReturn:
    """Run as a new interpreter would: own session, output file, arguments and exit status."""
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    random.seed()
    sys.argv[1:] = arguments
    faulthandler.enable()
    status = 1
    try:
        run()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _reap_children() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        exit_status = os.waitstatus_to_exitcode(status)
        print("exited", pid, -signal.SIGKILL if exit_status == KILLED else exit_status, flush=True)


if __name__ == "__main__":
    main()
