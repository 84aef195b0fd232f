"""A sandbox in a thread of the test process: it listens within milliseconds, where a process of its own needs a second.

A test that kills the sandbox, restarts it, or measures it runs `labelflow.sandbox.testing.running` instead.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import uvicorn

from labelflow.sandbox.database.store import Store
from labelflow.sandbox.server import make_server
from labelflow.sandbox.settings import fault_spec
from labelflow.sandbox.settings.api_version import API_VERSIONS
from labelflow.sandbox.settings.options import DAY_SECONDS, Options, Turnaround

START_TIMEOUT = 30.0


@contextmanager
def running_in_process(
    *,
    api: str = "current",
    turnaround: float | str = 60,
    faults: str | None = None,
    default_callback: str | None = None,
    callback_day: float = DAY_SECONDS,
) -> Iterator[str]:
    """Run a sandbox with its tasks in memory, and give the URL that it listens on, with `/v1`.

    The options are those of `python -m labelflow.sandbox`. Raises RuntimeError if it does not start.

        with running_in_process(api="2017", turnaround="0.2-1.5") as url:
            label(make_job(tmp_path, scale={"url": url}))
    """
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    callback = {None: f"{url}/callback-sink", "none": None}.get(default_callback, default_callback)
    thread = _ServerThread(
        listener,
        Options(
            url=url,
            turnaround=Turnaround.parse(str(turnaround)),
            api_version=API_VERSIONS[api],
            default_callback=callback,
            callback_day=callback_day,
            faults=fault_spec.parse(faults) if faults else None,
        ),
    )
    thread.start()
    try:
        thread.wait_until_started()
        yield f"{url}/v1"
    finally:
        thread.stop()


class _ServerThread(threading.Thread):
    """Serves until it is stopped. The thread opens the store: SQLite ties a connection to the thread that opened it."""

    def __init__(self, listener: socket.socket, options: Options) -> None:
        super().__init__(name="sandbox", daemon=True)
        self._listener = listener
        self._options = options
        self._server: uvicorn.Server | None = None

    def run(self) -> None:
        with closing(Store(self._options)) as store:
            self._server = make_server(store, self._options)
            self._server.run(sockets=[self._listener])

    def wait_until_started(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not (self._server and self._server.started):
            if not self.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.002)

    def stop(self) -> None:
        if self._server:
            self._server.should_exit = True
        self.join()
