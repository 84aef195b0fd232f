"""A request and its response, under the control of a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

CONNECTION_KEY = "connection"  # key of the connection in a request's state

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Connection(Protocol):
    """The operations on a connection. held: whether the shutdown of the server may close it at once."""

    held: bool

    def reset(self) -> None:
        """Reset the connection: the client gets ECONNRESET."""

    def drop(self) -> None:
        """Close the connection: the client gets an end of file instead of a response."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. It has no effect until `execute`."""

    app: App
    scope: Message
    receive: Receive
    send: Send

    @property
    def connection(self) -> Connection:
        """The connection of the request."""
        connection: Connection = self.scope["state"][CONNECTION_KEY]
        return connection

    async def execute(self) -> list[Message]:
        """Execute the request; returns its response without sending it."""
        messages: list[Message] = []

        async def capture(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, capture)
        return messages

    async def send_response(self, messages: list[Message]) -> None:
        """Send a response."""
        for message in messages:
            await self.send(message)

    async def send_error(self, status: int, message: str, **headers: str) -> None:
        """Send an error response. Source: 2017 API, "Errors".

        headers: names with underscores instead of hyphens.
        """
        body = orjson.dumps({"status_code": status, "error": message})
        all_headers = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in all_headers.items()]
        await self.send_response(
            [
                {"type": "http.response.start", "status": status, "headers": pairs},
                {"type": "http.response.body", "body": body},
            ]
        )

    async def hold(self, seconds: float) -> bool:
        """Send nothing for a number of seconds. Returns whether the connection is still open."""
        self.connection.held = True
        try:
            async with asyncio.timeout(seconds):
                await self.wait_closed()
        except TimeoutError:
            return True
        finally:
            self.connection.held = False
        return False

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
