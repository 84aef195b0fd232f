"""Runs the application until it is told to stop."""

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

SHUTDOWN_TIMEOUT = 2  # for requests that are under way


class AnnouncingServer(uvicorn.Server):
    """Says where it listens, once it does."""

    announcement: str

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, and say so on stdout."""
        await super().startup(sockets)
        if self.started:
            print(self.announcement, flush=True)


def serve(listener: socket.socket, options: Options) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises sqlite3.Error where the database cannot be used."""
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    store = Store(options)
    try:
        make_server(store, options).run(sockets=[listener])
    finally:
        store.close()


def make_server(store: Store, options: Options) -> AnnouncingServer:
    """What serves a store. Without faults, no code of theirs stands between it and its clients."""
    components = FaultyComponents(store, options, options.faults) if options.faults else Components(store, options)
    config = uvicorn.Config(
        create_app(store, options, components),
        http=components.http,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
    )
    server = AnnouncingServer(config)
    server.announcement = f"Sandbox listening on {options.url}/v1"
    return server


def _exit(_: int, __: FrameType | None) -> None:
    """uvicorn passes the signal on once it has shut down: there is nothing left to do then."""
    sys.exit(0)
