"""Connections that can be broken off: uvicorn's protocol, told of in each request's state."""

from __future__ import annotations

import os
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from labelflow.sandbox.faults.exchange import CONNECTION_KEY

LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing the socket sends a reset


class BreakableProtocol(HttpToolsProtocol):
    """A connection that the application can reset or close without an answer."""

    held = False

    def on_message_begin(self) -> None:
        """A request begins: it is told what it comes on."""
        super().on_message_begin()
        self.scope["state"][CONNECTION_KEY] = self

    def reset(self) -> None:
        """Break the connection off."""
        # The loop's own socket object may not be told options: a second one for the same socket may.
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.transport.abort()

    def drop(self) -> None:
        """Close the connection, whatever was not answered."""
        self.transport.close()

    def shutdown(self) -> None:
        """The server ends: nobody needs to wait for an answer that is held back."""
        if self.held:
            self.drop()
        else:
            super().shutdown()
