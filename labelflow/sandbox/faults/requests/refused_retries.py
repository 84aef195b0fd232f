"""ASGI middleware of the fault `refused-retry`: a request whose response was lost is refused when it is repeated."""

from __future__ import annotations

import hashlib

from labelflow.sandbox.faults.requests.exchange import App, Exchange, Message, Receive, Send

REFUSE_RETRY = "refuse_retry"  # key in the state of a request whose next attempt is refused
REFUSED_MESSAGE = "The attachment could not be fetched."


class RefusedRetries:
    """Executes marked requests and remembers their bodies; the next request with such a body gets a 400."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._digests: set[bytes] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        is_marked = scope["type"] == "http" and scope["state"].get(REFUSE_RETRY, False)
        if not is_marked and (not self._digests or scope.get("method") != "POST"):
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        digest = hashlib.sha256(body).digest()
        if is_marked:
            self._digests.add(digest)
        elif digest in self._digests:
            self._digests.discard(digest)
            await Exchange(self._app, scope, receive, send).send_error(400, REFUSED_MESSAGE)
            return
        await self._app(scope, _replay(body, receive), send)


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that returns the whole body first."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
