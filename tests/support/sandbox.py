"""A sandbox in a thread of the test process: it listens within milliseconds, where a process of its own needs a second.

A test that kills the sandbox, restarts it, or measures it runs `labelflow.sandbox.testing.running` instead.
"""

from __future__ import annotations

import asyncio
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

TIMEOUT = 30.0  # seconds


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
    with _running_thread(api, turnaround, faults, default_callback, callback_day) as thread:
        yield f"{thread.url}/v1"


class StagedSandbox:
    """A sandbox whose live tasks stay pending until the test has them completed."""

    def __init__(self, thread: _ServerThread) -> None:
        self.url = f"{thread.url}/v1"
        self._thread = thread

    def complete(self, count: int) -> None:
        """Complete the oldest pending tasks; their answers are listed when this returns."""
        self._thread.complete(count)


@contextmanager
def running_staged(*, api: str = "current", faults: str | None = None) -> Iterator[StagedSandbox]:
    """Run a sandbox that completes live tasks on demand, for tests of which answers are there when.

    with running_staged() as sandbox:
        label(make_job(tmp_path, scale={"url": sandbox.url, "mode": "live"}), wait=False)
        sandbox.complete(10)
    """
    with _running_thread(api, turnaround=3600, faults=faults) as thread:
        yield StagedSandbox(thread)


@contextmanager
def _running_thread(
    api: str,
    turnaround: float | str,
    faults: str | None = None,
    default_callback: str | None = None,
    callback_day: float = DAY_SECONDS,
) -> Iterator[_ServerThread]:
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
        yield thread
    finally:
        thread.stop()


class _ServerThread(threading.Thread):
    """Serves until it is stopped. The thread opens the store: SQLite ties a connection to the thread that opened it."""

    def __init__(self, listener: socket.socket, options: Options) -> None:
        super().__init__(name="sandbox", daemon=True)
        self.url = options.url
        self._listener = listener
        self._options = options
        self._server: uvicorn.Server | None = None
        self._store: Store | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        with closing(Store(self._options)) as store:
            self._store = store
            self._server = make_server(store, self._options)
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                self._loop = runner.get_loop()
                runner.run(self._server.serve(sockets=[self._listener]))

    def wait_until_started(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not (self._server and self._server.started):
            if not self.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.002)

    def complete(self, count: int) -> None:
        assert self._store
        assert self._loop
        asyncio.run_coroutine_threadsafe(self._complete(self._store, count), self._loop).result(TIMEOUT)

    async def _complete(self, store: Store, count: int) -> None:
        query = "SELECT seq FROM tasks WHERE status = 'pending' ORDER BY seq LIMIT ?"
        numbers = [seq for (seq,) in store.db.execute(query, [count])]
        for seq in numbers:
            store.task_queue.add(0, seq)
        while any(row.is_pending for row in store.rows(numbers)):
            await asyncio.sleep(0.002)

    def stop(self) -> None:
        if self._server:
            self._server.should_exit = True
        self.join()
