"""The web service that receives callbacks: authentication, limits, health and metrics.

POST /callback is for Scale, GET /health and GET /metrics are for operators. Callbacks are stored by
`labelflow.callbacks.callback_router`.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from labelflow.callbacks.callback import InvalidCallback
from labelflow.callbacks.callback_router import CallbackRouter, Overloaded
from labelflow.callbacks.connection_limits import LimitedProtocol
from labelflow.errors import InvalidInput, StorageError

AUTH_HEADER = "scale-callback-auth"
MAX_BODY_BYTES = 16 << 20
MAX_BYTES_IN_FLIGHT = 64 << 20  # of bodies that are not stored yet; above that callbacks are refused, and sent again
BODY_TIMEOUT = 30.0  # seconds, to receive the body of one callback
START_TIMEOUT = 10.0  # seconds
SHUTDOWN_TIMEOUT = 10  # seconds, to store the callbacks that were received


class _HttpError(Exception):
    def __init__(self, status: int, reason: str, metric: str) -> None:
        super().__init__(reason)
        self.status = status
        self.metric = metric


class CallbackApi:
    """The HTTP endpoints. key: the callback auth key; it is in no response and no log."""

    def __init__(self, receiver: CallbackRouter, key: str) -> None:
        self._receiver = receiver
        self._key = key.encode()
        self._bytes_in_flight = 0

    def app(self) -> Starlette:
        """Return the ASGI application."""
        app = Starlette(
            routes=[
                Route("/callback", self.callback, methods=["POST"]),
                Route("/health", self.health, methods=["GET"]),
                Route("/metrics", self.metrics, methods=["GET"]),
            ]
        )
        app.router.redirect_slashes = False  # a redirect would name the Host of the request
        return app

    async def callback(self, request: Request) -> Response:
        """Acknowledge a callback once it is durable."""
        try:
            await self._receive(request)
        except _HttpError as error:
            self._receiver.counts["", error.metric] += 1
            # The unread rest of the body would be parsed as the next request.
            return JSONResponse({"error": str(error)}, error.status, {"connection": "close"})
        return JSONResponse({"status": "stored"})

    async def _receive(self, request: Request) -> None:
        key = request.headers.get(AUTH_HEADER, "").encode("latin-1")
        if not hmac.compare_digest(key, self._key):
            raise _HttpError(401, f"the header {AUTH_HEADER} is missing or wrong", "forged")
        try:
            async with self._body(request) as content:
                await self._receiver.receive(content)
        except InvalidCallback as error:
            raise _HttpError(400, str(error), "malformed") from None
        except Overloaded:
            raise _HttpError(
                503, "too many callbacks are waiting to be stored; send it again later", "not_stored"
            ) from None
        except StorageError:
            raise _HttpError(503, "the callback could not be stored; send it again later", "not_stored") from None

    @asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytearray]:
        """The body, counted as long as the block lasts."""
        content = bytearray()
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                await self._read_body(request, content)
        except TimeoutError:
            reason = f"the body was not received within {BODY_TIMEOUT:g} seconds"
            self._bytes_in_flight -= len(content)
            raise _HttpError(408, reason, "malformed") from None
        except BaseException:
            self._bytes_in_flight -= len(content)
            raise
        size = len(content)
        try:
            yield content
        finally:
            self._bytes_in_flight -= size

    async def _read_body(self, request: Request, content: bytearray) -> None:
        too_large = _HttpError(413, f"the body exceeds {MAX_BODY_BYTES:,} bytes", "too_large")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise too_large
        try:
            async for chunk in request.stream():
                if self._bytes_in_flight + len(chunk) > MAX_BYTES_IN_FLIGHT:
                    raise Overloaded
                content += chunk
                self._bytes_in_flight += len(chunk)
                if len(content) > MAX_BODY_BYTES:
                    raise too_large
        except ClientDisconnect:
            raise _HttpError(400, "the connection closed before the end of the body", "malformed") from None

    async def health(self, _: Request) -> Response:
        """Report whether callbacks can be stored: 200 or 503. After a failed write it tries one itself."""
        for writer in self._receiver.writers:
            await writer.probe()
        if any(writer.has_failed for writer in self._receiver.writers):
            return JSONResponse({"status": "callbacks cannot be stored; see the log of the receiver"}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        """Return the metrics in the text format of Prometheus."""
        lines = [
            "# HELP labelflow_callbacks_total Callbacks, by job and result.",
            "# TYPE labelflow_callbacks_total counter",
        ]
        for (job, result), number in sorted(self._receiver.counts.items()):
            lines.append(f'labelflow_callbacks_total{{job="{job}",result="{result}"}} {number}')
        lines += [
            "# HELP labelflow_callback_writes_total Files written; callbacks that arrive together share one.",
            "# TYPE labelflow_callback_writes_total counter",
            f"labelflow_callback_writes_total {sum(writer.writes for writer in self._receiver.writers)}",
            "# HELP labelflow_callback_bytes_waiting Bytes of callbacks that are not written yet.",
            "# TYPE labelflow_callback_bytes_waiting gauge",
            f"labelflow_callback_bytes_waiting {sum(writer.buffered_bytes for writer in self._receiver.writers)}",
        ]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


class CallbackServer:
    """An HTTP server for callbacks. Raises InvalidInput if it cannot listen on the address."""

    def __init__(self, receiver: CallbackRouter, key: str, host: str, port: int) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            reason = f"cannot listen on this address ({error.strerror or error})"
            fix = "use another host or port, or stop the process that uses it"
            raise InvalidInput(f"{host}:{port}", reason, fix) from None
        url_host = f"[{host}]" if ":" in host else host
        self.url = f"http://{url_host}:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            CallbackApi(receiver, key).app(),
            http=LimitedProtocol,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="off",
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, name="callbacks", daemon=True)

    def run(self) -> None:
        """Serve until `stop` or, in the main thread, a signal. Callbacks that were received are stored first."""
        self._server.run(sockets=[self._listener])

    def start(self) -> None:
        """Serve in a background thread until `stop`. Raises InvalidInput if the server does not start."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise InvalidInput(self.url, "the callback receiver did not start", "see its log")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server once the callbacks that were received are stored."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()
