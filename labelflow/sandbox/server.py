"""The HTTP server of the sandbox."""

from __future__ import annotations

import signal
import socket
import sys
from types import FrameType

import uvicorn

from labelflow.sandbox.app import create_app
from labelflow.sandbox.components import Components
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.components import FaultyComponents
from labelflow.sandbox.settings.options import Options

SHUTDOWN_TIMEOUT = 2  # seconds for requests in progress


class AnnouncingServer(uvicorn.Server):
    """Prints its URL once it listens."""

    announcement: str

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen and print the announcement to stdout."""
        await super().startup(sockets)
        if self.started:
            print(self.announcement, flush=True)


def serve(listener: socket.socket, options: Options) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises sqlite3.Error if the database cannot be used."""
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    store = Store(options)
    try:
        make_server(store, options).run(sockets=[listener])
    finally:
        store.close()


def make_server(store: Store, options: Options) -> AnnouncingServer:
    """Return a server for a store. Fault code is only part of it if there are faults."""
    components = FaultyComponents(store, options, options.faults) if options.faults else Components(store, options)
    config = uvicorn.Config(
        create_app(store, options, components),
        http=components.http,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    server = AnnouncingServer(config)
    server.announcement = f"Sandbox listening on {options.url}/v1"
    return server


def _exit(_: int, __: FrameType | None) -> None:
    """Exit with status 0: uvicorn raises the signal again after its shutdown."""
    sys.exit(0)
