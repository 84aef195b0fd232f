"""Ctrl-C and SIGTERM, handled in a thread of their own so that no operation is interrupted halfway.

Before the flow starts there is nothing to save: a signal ends the process at once. Afterwards the first signal stops
the run gracefully. A second signal, or a stop that exceeds STOP_TIMEOUT, ends the process at once.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from labelflow.cli import temporary_prefect_server
from labelflow.concurrency.stop_token import StopToken
from labelflow.problems import printable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed
STOP_TIMEOUT = 21.0  # seconds
DEBOUNCE_SECONDS = 0.3  # a terminal and a launcher may both forward one Ctrl-C
RESTORE_CURSOR = b"\x1b[?25h\r\n"  # shows the cursor, which a progress display hides
CONSOLE_SCRIPT = "labelflow"


class Signals:
    """The stop signals of this process."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._stop: StopToken | None = None
        self._pipe = -1

    @property
    def is_listening(self) -> bool:
        """Whether this process is a command that handles signals itself."""
        return self._pipe >= 0

    @property
    def received(self) -> bool:
        """Whether a signal was received."""
        return self._first is not None

    @property
    def status(self) -> int:
        """The exit status for the first signal, by the convention of shells: 130 for Ctrl-C."""
        return 128 + (self._first or signal.SIGINT)

    def listen(self) -> None:
        """Handle signals from now on. To be called in the main thread of a command."""
        self._pipe, inlet = os.pipe()
        os.set_blocking(inlet, False)
        signal.set_wakeup_fd(inlet, warn_on_full_buffer=False)
        self._install_handlers()
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def stop_gracefully(self, stop: StopToken) -> None:
        """Make the first signal set `stop`. Replaces the handlers that Prefect installs."""
        self._stop = stop
        self._install_handlers()

    def _install_handlers(self) -> None:
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored if a shell started the process in background
                signal.signal(number, lambda *_: None)

    def _wait(self) -> None:
        self._first = self._next(None)
        if self._stop is None:
            exit_now(f"Stopped before the first task was created; to continue, run: {command_line()}", self.status)
        self._stop.set()
        time.sleep(DEBOUNCE_SECONDS)
        while self._next(0):
            pass
        self._next(STOP_TIMEOUT)
        exit_now(
            f"Stopped at once. The next run finds the tasks that were created; to continue, run: {command_line()}",
            self.status,
        )

    def _next(self, seconds: float | None) -> int | None:
        """Wait for the next signal; None if there is none within that time."""
        while select.select([self._pipe], [], [], seconds)[0]:
            number = os.read(self._pipe, 1)[0]
            if number in STOP_SIGNALS:
                return number
        return None


signals = Signals()


def command_line() -> str:
    """Return the command line that started this process."""
    if Path(sys.argv[0]).stem == CONSOLE_SCRIPT:
        return shlex.join([CONSOLE_SCRIPT, *sys.argv[1:]])
    return shlex.join(["python", *sys.orig_argv[1:]])


def exit_now(message: str, status: int) -> NoReturn:
    """End the process from any thread, without waiting for the other threads."""
    try:
        temporary_prefect_server.end()
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), RESTORE_CURSOR)
        os.write(sys.stderr.fileno(), f"{printable(message)}\n".encode())
    finally:
        os._exit(status)
