"""Ctrl-C and SIGTERM: heard by a thread of its own, so that nothing is interrupted halfway, however busy the rest is.

Until the flow begins there is nothing to save, and a signal ends the process at once. After that the first one stops
the run in good order; a second one, or a run that takes too long to stop, ends the process at once.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import sys
import threading
import time
from typing import NoReturn

from labelflow.cli import prefect_server
from labelflow.concurrency.stop_token import StopToken

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOP_TIMEOUT = 21.0
DEBOUNCE_SECONDS = 0.3  # a terminal and a launcher may both pass on one Ctrl-C
RESTORE_CURSOR = b"\x1b[?25h\r\n"  # shows the cursor, which a progress display hides


class Signals:
    """The signals of this process."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._stop: StopToken | None = None
        self._pipe = -1

    @property
    def is_listening(self) -> bool:
        """Whether this process is a command, which hears of signals itself."""
        return self._pipe >= 0

    @property
    def received(self) -> bool:
        """Whether one has come."""
        return self._first is not None

    @property
    def status(self) -> int:
        """The exit status that tells of the first signal, as shells know it."""
        return 128 + (self._first or signal.SIGINT)

    def listen(self) -> None:
        """Hear of signals from now on. For the main thread of a command."""
        self._pipe, inlet = os.pipe()
        os.set_blocking(inlet, False)
        signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
        self._install_handlers()
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def stop_gracefully(self, stop: StopToken) -> None:
        """From now on the first signal sets `stop`. Takes over from Prefect, which has a handler of its own."""
        self._stop = stop
        self._install_handlers()

    def _install_handlers(self) -> None:
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as where a shell started us in the background
                signal.signal(number, lambda *_: None)

    def _wait(self) -> None:
        self._first = self._next(None)
        if self._stop is None:
            exit_now(f"Stopped before the first task; go on with: {command_line()}", self.status)
        self._stop.set()
        time.sleep(DEBOUNCE_SECONDS)
        while self._next(0):
            pass
        self._next(STOP_TIMEOUT)
        exit_now(f"Stopped at once. The next run finds what was created; go on with: {command_line()}", self.status)

    def _next(self, seconds: float | None) -> int | None:
        """The next signal; None where so many seconds pass without one."""
        while select.select([self._pipe], [], [], seconds)[0]:
            number = os.read(self._pipe, 1)[0]
            if number in STOP_SIGNALS:
                return number
        return None


signals = Signals()


def command_line() -> str:
    """The command line that started this process."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def exit_now(message: str, status: int) -> NoReturn:
    """End the process from any thread, without waiting for another."""
    try:
        prefect_server.end()
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), RESTORE_CURSOR)
        os.write(sys.stderr.fileno(), f"{message}\n".encode())
    finally:
        os._exit(status)
