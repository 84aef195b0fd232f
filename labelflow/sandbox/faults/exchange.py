"""One request and its answer, as a fault gets hold of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

CONNECTION_KEY = "connection"  # where a request's state holds its connection

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Connection(Protocol):
    """What can be done to a connection; while it is held, the sandbox's end does not wait for it."""

    held: bool

    def reset(self) -> None:
        """Break it off: the client gets a connection reset."""

    def drop(self) -> None:
        """Close it: the client gets its end instead of an answer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. Before `carried_out` nothing has come of it."""

    app: App
    scope: Message
    receive: Receive
    send: Send

    @property
    def connection(self) -> Connection:
        """The connection that it came on."""
        connection: Connection = self.scope["state"][CONNECTION_KEY]
        return connection

    async def execute(self) -> list[Message]:
        """Have the request carried out, and keep its answer back."""
        messages: list[Message] = []

        async def capture(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, capture)
        return messages

    async def send_response(self, messages: list[Message]) -> None:
        """Send an answer that was kept back."""
        for message in messages:
            await self.send(message)

    async def send_error(self, status: int, message: str, **headers: str) -> None:
        """Answer with an error, in the API's form. Source: contract A "Errors"."""
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
        """Keep the client waiting. Returns whether it is still there."""
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
