"""Connections that a fault can reset or close: a protocol for uvicorn."""

from __future__ import annotations

import os
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from labelflow.sandbox.faults.requests.exchange import CONNECTION_KEY

LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing the socket sends a reset


class BreakableProtocol(HttpToolsProtocol):
    """A connection that the application can reset or close without a response."""

    held = False

    def on_message_begin(self) -> None:
        """Put the connection into the state of a new request."""
        super().on_message_begin()
        self.scope["state"][CONNECTION_KEY] = self

    def reset(self) -> None:
        """Reset the connection."""
        # asyncio does not allow to set options of its socket object: a duplicate of the socket does.
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.transport.abort()

    def drop(self) -> None:
        """Close the connection, also without a response."""
        self.transport.close()

    def shutdown(self) -> None:
        """Close the connection when the server stops; at once if a fault holds its response back."""
        if self.held:
            self.drop()
        else:
            super().shutdown()
