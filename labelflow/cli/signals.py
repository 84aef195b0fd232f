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
from labelflow.concurrency.stop_token import Stop

HEARD = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_STOP = 21.0
SAME_SECONDS = 0.3  # a terminal and a launcher may both pass on one Ctrl-C
CLEAR = b"\x1b[?25h\r\n"  # shows the cursor, which a progress display hides


class Signals:
    """The signals of this process."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._stop: Stop | None = None
        self._pipe = -1

    @property
    def is_listening(self) -> bool:
        """Whether this process is a command, which hears of signals itself."""
        return self._pipe >= 0

    @property
    def heard(self) -> bool:
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
        self._take_over()
        threading.Thread(target=self._hear, name="signals", daemon=True).start()

    def stop_in_order(self, stop: Stop) -> None:
        """From now on the first signal sets `stop`. Takes over from Prefect, which has a handler of its own."""
        self._stop = stop
        self._take_over()

    def _take_over(self) -> None:
        for number in HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as where a shell started us in the background
                signal.signal(number, lambda *_: None)

    def _hear(self) -> None:
        self._first = self._next(None)
        if self._stop is None:
            leave_at_once(f"Stopped before the first task; go on with: {command()}", self.status)
        self._stop.set()
        time.sleep(SAME_SECONDS)
        while self._next(0):
            pass
        self._next(SECONDS_TO_STOP)
        leave_at_once(f"Stopped at once. The next run finds what was created; go on with: {command()}", self.status)

    def _next(self, seconds: float | None) -> int | None:
        """The next signal; None where so many seconds pass without one."""
        while select.select([self._pipe], [], [], seconds)[0]:
            number = os.read(self._pipe, 1)[0]
            if number in HEARD:
                return number
        return None


signals = Signals()


def command() -> str:
    """The command line that started this process."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def leave_at_once(message: str, status: int) -> NoReturn:
    """End the process from any thread, without waiting for another."""
    try:
        prefect_server.end()
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), CLEAR)
        os.write(sys.stderr.fileno(), f"{message}\n".encode())
    finally:
        os._exit(status)
